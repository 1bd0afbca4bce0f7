#include "guest/init/mounts.h"

#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/small_files.h"

namespace ktstr::guest {
namespace {

struct Mount {
  const char* type;
  const char* at;
  const char* options;
  unsigned long flags;
};

constexpr unsigned long kPlain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
constexpr Mount kMounts[] = {
    {"proc", "/proc", "", kPlain},
    {"sysfs", "/sys", "", kPlain},
    {"devtmpfs", "/dev", "mode=0755", MS_NOSUID},
    {"devpts", "/dev/pts", "", MS_NOSUID | MS_NOEXEC},
    {"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV},
    {"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV},
    {"tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV},
    {"cgroup2", "/sys/fs/cgroup", "", kPlain},
    {"tracefs", "/sys/kernel/tracing", "", kPlain},
    {"debugfs", "/sys/kernel/debug", "", kPlain},
    {"bpf", "/sys/fs/bpf", "mode=0700", kPlain},
};

constexpr int kSetConsoleLevel = 8;  // SYSLOG_ACTION_CONSOLE_LEVEL

}  // namespace

std::vector<std::string> mount_file_systems() {
  std::vector<std::string> notes;
  for (const Mount& m : kMounts) {
    ::mkdir(m.at, 0755);
    if (::mount(m.type, m.at, m.type, m.flags, m.options) != 0 && errno != EBUSY)
      notes.push_back(std::string("mount ") + m.type + " at " + m.at + ": " + std::strerror(errno));
  }
  return notes;
}

std::vector<std::string> apply_kernel_settings(bool verbose_console) {
  std::vector<std::string> notes;
  // Below 7: everything but debug messages. `quiet` on the command line only silences the boot.
  if (::klogctl(kSetConsoleLevel, nullptr, verbose_console ? 8 : 7) != 0)
    notes.push_back(std::string("console loglevel: ") + std::strerror(errno));
  for (const char* name : {"sched_schedstats", "bpf_stats_enabled"}) {
    if (auto status = write_text(std::string("/proc/sys/kernel/") + name, "1"); !status)
      notes.push_back(status.error().message());
  }
  return notes;
}

std::vector<std::string> enable_cgroup_controllers() {
  std::vector<std::string> notes;
  for (const char* controller : {"+cpuset", "+cpu"}) {
    if (auto status = write_text("/sys/fs/cgroup/cgroup.subtree_control", controller); !status)
      notes.push_back(status.error().message());
  }
  return notes;
}

}  // namespace ktstr::guest
