// scx_legacy: calls scx_bpf_error after a number of enqueues.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fail-after", &scx_config::fail_after, 500, "enqueues before it fails"},
  };
  return scx::run({.name = "legacy", .options = options}, argc, argv);
}
