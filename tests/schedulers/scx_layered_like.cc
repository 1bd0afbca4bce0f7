// scx_layered_like: built as large schedulers are; fails at a fork, in a sleepable callback.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fail-after", &scx_config::fail_after, 50, "forks before it fails"},
  };
  return scx::run({.name = "layered_like", .options = options}, argc, argv);
}
