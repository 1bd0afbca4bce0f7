// scx_exit_early: gives up before it has loaded anything, as a scheduler with a missing file does.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tests/schedulers/common/scx_user.h"

namespace {

int read_policy() {
  const char* path = "/etc/scx_exit_early/policy.conf";
  std::FILE* file = std::fopen(path, "re");
  if (!file) {
    std::fprintf(stderr, "scx_exit_early: cannot read %s: %s\n", path, std::strerror(errno));
    return 3;
  }
  std::fclose(file);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return scx::run({.name = "exit_early", .before_load = read_policy}, argc, argv);
}
