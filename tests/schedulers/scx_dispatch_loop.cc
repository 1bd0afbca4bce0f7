// scx_dispatch_loop: its dispatch callback never gets to the end of its queue.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fail-after", &scx_config::fail_after, 500, "enqueues before it starts to loop"},
  };
  return scx::run({.name = "dispatch_loop", .options = options}, argc, argv);
}
