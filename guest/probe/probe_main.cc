#include "guest/probe/probe_main.h"

#include <bpf/libbpf.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "guest/probe/probe_session.h"

namespace ktstr::probe {
int probe_main(int argc, char** argv) {
  std::string plan_path;
  int events = -1, control = -1;
  bool for_template = false;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--plan") == 0) plan_path = argv[i + 1];
    if (std::strcmp(argv[i], "--events-fd") == 0) events = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--control-fd") == 0) control = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--for-template") == 0) for_template = std::strcmp(argv[i + 1], "1") == 0;
  }
  if (plan_path.empty() || events < 0 || control < 0) {
    std::fprintf(stderr, "usage: ktstr-probe --plan FILE --events-fd N --control-fd N [--for-template 1]\n");
    return 2;
  }
  if (!std::getenv("KTSTR_PROBE_DEBUG")) libbpf_set_print(nullptr);
  ProbeSession session({.plan_path = std::move(plan_path), .for_template = for_template}, UniqueFd(events),
                       UniqueFd(control));
  return session.run();
}

}  // namespace ktstr::probe
