// scx_slip: makes one mistake that the kernel finds, in one of several ways.
#include <unistd.h>

#include "tests/schedulers/common/scx_user.h"
#include "tests/schedulers/common/slip.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fault", &scx_config::fault, SLIP_SAME_DSQ,
       "1 DSQ made twice, 2 full map, 3 foreign CPU, 4 inserted twice, 5 FIFO and vtime"},
      {"--fail-after", &scx_config::fail_after, 500, "enqueues that go well"},
      {"--cpus", &scx_config::cpus, static_cast<__u64>(::sysconf(_SC_NPROCESSORS_ONLN)), "CPUs to insert on"},
  };
  return scx::run({.name = "slip", .options = options}, argc, argv);
}
