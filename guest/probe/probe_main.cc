#include "guest/probe/probe_main.h"

#include <bpf/libbpf.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/small_files.h"
#include "guest/probe/probe_session.h"
#include "schemas/guest_paths.h"
#include "schemas/plan_generated.h"

namespace ktstr::probe {
namespace {

Result<GuestPlanT> read_plan(const std::string& path) {
  auto bytes = read_binary(path, kMaxGuestPlan);
  if (!bytes) return std::move(bytes).error();
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
  if (!verifier.VerifyBuffer<GuestPlan>("KTGP")) return Error::invalid(path + ": not a guest plan");
  GuestPlanT plan;
  flatbuffers::GetRoot<GuestPlan>(bytes->data())->UnPackTo(&plan);
  if (plan.probe_plan)
    for (size_t i = 0; i < plan.probe_plan->targets.size(); ++i)
      if (plan.probe_plan->targets[i]->id != i)
        return Error::invalid(path + ": target ids are not their places");
  return plan;
}

}  // namespace

int probe_main(int argc, char** argv) {
  std::string plan_path;
  int events = -1, control = -1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--plan") == 0) plan_path = argv[i + 1];
    if (std::strcmp(argv[i], "--events-fd") == 0) events = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--control-fd") == 0) control = std::atoi(argv[i + 1]);
  }
  if (plan_path.empty() || events < 0 || control < 0) {
    std::fprintf(stderr, "usage: ktstr-probe --plan FILE --events-fd N --control-fd N\n");
    return 2;
  }
  if (!std::getenv("KTSTR_PROBE_DEBUG")) libbpf_set_print(nullptr);
  auto plan = read_plan(plan_path);
  if (!plan) {
    std::fprintf(stderr, "ktstr-probe: %s\n", plan.error().message().c_str());
    return 2;
  }
  EventHead head;
  head.run_id = plan->run_id;
  head.source = "probe";
  head.vm = plan->vm;
  head.attempt = plan->attempt;
  ProbeSession session(std::move(*plan), EventOut(UniqueFd(events), head), UniqueFd(control));
  return session.run();
}

}  // namespace ktstr::probe
