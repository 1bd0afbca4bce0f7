// scx_deep: calls scx_bpf_error after a number of enqueues, eight functions down.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fail-after", &scx_config::fail_after, 5000, "enqueues before it fails"},
  };
  return scx::run({.name = "deep", .options = options}, argc, argv);
}
