// scx_sysrq: its process asks the kernel to panic, two seconds after the attach. What was in the guest's memory
// alone is lost to everyone inside.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "tests/schedulers/common/scx_user.h"

namespace {

void panic_kernel(unsigned second) {
  if (second < 2) return;
  const int trigger = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
  if (write(trigger, "c", 1) != 1) std::perror("[sysrq] /proc/sysrq-trigger");
}

}  // namespace

int main(int argc, char** argv) { return scx::run({.name = "sysrq", .on_tick = panic_kernel}, argc, argv); }
