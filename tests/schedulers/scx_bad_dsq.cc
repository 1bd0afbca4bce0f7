// scx_bad_dsq: inserts a task into a dispatch queue that does not exist.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fail-after", &scx_config::fail_after, 500, "enqueues before the bad one"},
      {"--dsq-id", &scx_config::dsq_id, 0xbad, "the queue that does not exist"},
  };
  return scx::run({.name = "bad_dsq", .options = options}, argc, argv);
}
