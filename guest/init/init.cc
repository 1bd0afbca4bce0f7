#include "guest/init/init.h"

#include <fcntl.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <string>

#include "base/unique_fd.h"
#include "guest/init/guest_run.h"
#include "guest/init/mounts.h"
#include "guest/init/own_class.h"

namespace ktstr::guest {

void init_main() {
  auto notes = mount_file_systems();
  for (std::string& note : set_up_userland()) notes.push_back(std::move(note));
  if (!enter_init_class()) notes.push_back("SCHED_FIFO for init was rejected: a stall may delay its reports");
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
