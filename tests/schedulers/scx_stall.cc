// scx_stall: never dispatches one of its tasks; the kernel's watchdog ends it.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fail-after", &scx_config::fail_after, 500, "enqueues before a task is lost"},
  };
  return scx::run({.name = "stall", .options = options}, argc, argv);
}
