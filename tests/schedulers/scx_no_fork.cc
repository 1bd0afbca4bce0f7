// scx_no_fork: refuses forks after a number of them.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fail-after", &scx_config::fail_after, 20, "forks that it allows"},
  };
  return scx::run({.name = "no_fork", .options = options}, argc, argv);
}
