#include "guest/init/init.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <string>

#include "base/unique_fd.h"
#include "guest/init/guest_run.h"
#include "guest/init/mounts.h"

namespace ktstr::guest {

namespace {

// Above every worker that a spec can ask for (98 at most): real-time hogs on all CPUs must not keep the test from ending.
constexpr int kPriority = 99;

}  // namespace

void init_main() {
  auto notes = mount_file_systems();
  sched_param priority{};
  priority.sched_priority = kPriority;
  if (::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) != 0)
    notes.push_back("SCHED_FIFO for init was rejected: a stall may delay its reports");
  auto carrier = open_carrier();
  if (!carrier) return last_words(carrier.error().message().c_str());
  EventChannel channel(std::move(*carrier));
  EventLoop loop;
  GuestRun(loop, channel).run(std::move(notes));
}

void last_words(const char* text) {
  UniqueFd log(::open("/dev/kmsg", O_WRONLY | O_CLOEXEC));
  const std::string line = std::string("<3>ktstr-init: ") + text;
  (void)!::write(log.get(), line.data(), line.size());
}

void power_off() {
  ::sync();
  while (true) {
    ::reboot(RB_POWER_OFF);
    ::sleep(1);  // refused: a kernel without power-off; the host's deadline ends the VM
  }
}

}  // namespace ktstr::guest
