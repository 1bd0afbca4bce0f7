// scx_legacy: calls scx_bpf_error after a number of enqueues. It can keep its own loader waiting.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fail-after", &scx_config::fail_after, 500, "enqueues before it fails"},
      {"--hold-loader", &scx_config::hold_ms, 0, "ms that the loader waits for a CPU once it is enabled"},
  };
  return scx::run({.name = "legacy", .options = options}, argc, argv);
}
