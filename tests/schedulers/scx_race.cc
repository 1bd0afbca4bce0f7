// scx_race: sound but for one race between CPUs.
#include <unistd.h>

#include "tests/schedulers/common/race.h"
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) {
  const scx::Option options[] = {
      {"--fault", &scx_config::fault, RACE_CHECK_THEN_ACT,
       "1 check-then-act, 2 lost wake-up, 3 context after exit"},
      {"--cpus", &scx_config::cpus, static_cast<__u64>(::sysconf(_SC_NPROCESSORS_ONLN)), "CPUs with a DSQ"},
  };
  return scx::run({.name = "race", .options = options}, argc, argv);
}
