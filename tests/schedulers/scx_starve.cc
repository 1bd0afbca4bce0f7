// scx_starve: leaves tasks waiting, in one of several ways; the kernel's watchdog ends it.
#include <unistd.h>

#include "tests/schedulers/common/scx_user.h"
#include "tests/schedulers/common/starve.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fault", &scx_config::fault, STARVE_FOREIGN_DSQ,
       "1 foreign DSQ, 2 unserved DSQ, 3 no kick, 4 kept in a map, 5 empty dispatch, 6 order, 7 timer "
       "stopped, 8 local DSQ, 9 kworkers, 10 slow dispatch, 11 endless slices, 12 one full local DSQ"},
      {"--fail-after", &scx_config::fail_after, 500, "enqueues that go well"},
      {"--cpus", &scx_config::cpus, static_cast<__u64>(::sysconf(_SC_NPROCESSORS_ONLN)), "CPUs with a DSQ"},
  };
  return scx::run({.name = "starve", .options = options}, argc, argv);
}
