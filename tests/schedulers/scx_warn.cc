// scx_warn: a second after the attach it writes the text of a kernel warning into the kernel's log. A kernel in which
// such a warning can be provoked on purpose is not in Debian; what is read is the console, which shows this one alike.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/schedulers/common/scx_user.h"

namespace {

constexpr const char* kWarning[] = {
    "------------[ cut here ]------------",
    "WARNING: CPU: 1 PID: 142 at kernel/sched/ext.c:3725 scx_cgroup_move_task+0x82/0x90",
    "CPU: 1 UID: 0 PID: 142 Comm: warn_task Tainted: G        W           7.3.0 #1",
    "Sched_ext: warn (enabled+all), task: runnable_at=-4ms",
    "RIP: 0010:scx_cgroup_move_task+0x82/0x90",
    "Call Trace:",
    " <TASK>",
    " sched_move_task+0x103/0x300",
    " cpu_cgroup_attach+0x65/0xa0",
    " cgroup_migrate_execute+0x5fd/0x700",
    " </TASK>",
    "---[ end trace 0000000000000000 ]---",
};

void warn(unsigned second) {
  if (second != 1) return;
  const int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
  for (const char* line : kWarning)
    if (write(log, line, std::strlen(line)) < 0) std::perror("[warn] /dev/kmsg");
  close(log);
}

}  // namespace

int main(int argc, char** argv) { return scx::run({.name = "warn", .on_tick = warn}, argc, argv); }
