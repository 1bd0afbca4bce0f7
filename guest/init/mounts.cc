#include "guest/init/mounts.h"

#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/small_files.h"
#include "base/unique_fd.h"
#include "schemas/spec_generated.h"

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

// What userland expects below the mounts.
constexpr std::pair<const char*, mode_t> kFolders[] = {{"/run/lock", 01777}, {"/run/user", 0755}};
constexpr std::pair<const char*, const char*> kDevLinks[] = {
    {"/dev/fd", "/proc/self/fd"},
    {"/dev/stdin", "/proc/self/fd/0"},
    {"/dev/stdout", "/proc/self/fd/1"},
    {"/dev/stderr", "/proc/self/fd/2"},
};
constexpr char kHostName[] = "ktstr";

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

std::vector<std::string> set_up_userland() {
  std::vector<std::string> notes;
  for (const auto& [path, mode] : kFolders) {
    ::mkdir(path, mode);
    ::chmod(path, mode);
  }
  for (const auto& [path, target] : kDevLinks)
    if (::symlink(target, path) != 0 && errno != EEXIST)
      notes.push_back(std::string("link ") + path + ": " + std::strerror(errno));
  if (::sethostname(kHostName, sizeof(kHostName) - 1) != 0)
    notes.push_back(std::string("host name: ") + std::strerror(errno));
  ifreq loopback{};
  std::strncpy(loopback.ifr_name, "lo", sizeof(loopback.ifr_name) - 1);
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  bool up = socket && ::ioctl(socket.get(), SIOCGIFFLAGS, &loopback) == 0;
  loopback.ifr_flags = static_cast<short>(loopback.ifr_flags | IFF_UP | IFF_RUNNING);
  up = up && ::ioctl(socket.get(), SIOCSIFFLAGS, &loopback) == 0;
  if (!up) notes.push_back(std::string("loopback: ") + std::strerror(errno));
  // As root has them, for all that init starts; a scheduler's maps are locked memory, and it opens files for each CPU.
  const std::pair<__rlimit_resource, rlimit> kLimits[] = {
      {RLIMIT_MEMLOCK, {RLIM_INFINITY, RLIM_INFINITY}},
      {RLIMIT_NPROC, {RLIM_INFINITY, RLIM_INFINITY}},
      {RLIMIT_NOFILE, {65536, 1048576}},
  };
  for (const auto& [resource, limit] : kLimits)
    if (::setrlimit(resource, &limit) != 0)
      notes.push_back(std::string("resource limits: ") + std::strerror(errno));
  return notes;
}

Status apply_sysctls(const TestSpecT& spec) {
  for (const auto& setting : spec.sysctl) {
    std::string path = setting->key;
    if (path.find('/') == std::string::npos) std::replace(path.begin(), path.end(), '.', '/');
    if (auto set = write_text("/proc/sys/" + path, setting->value); !set)
      return std::move(set).error().within("sysctl " + setting->key + " = " + setting->value);
  }
  return {};
}

std::vector<std::string> apply_kernel_settings() {
  std::vector<std::string> notes;
  // Below 7: everything but debug messages. `quiet` on the command line only silences the boot.
  if (::klogctl(kSetConsoleLevel, nullptr, 7) != 0)
    notes.push_back(std::string("console loglevel: ") + std::strerror(errno));
  for (const char* name : {"sched_schedstats", "bpf_stats_enabled"}) {
    if (auto status = write_text(std::string("/proc/sys/kernel/") + name, "1"); !status)
      notes.push_back(status.error().message());
  }
  return notes;
}

Status set_verbose_console() {
  if (::klogctl(kSetConsoleLevel, nullptr, 8) != 0) return Error::from_errno("console loglevel");
  return {};
}

Status set_wall_clock(uint64_t unix_ns) {
  const timespec now{.tv_sec = static_cast<time_t>(unix_ns / 1'000'000'000),
                     .tv_nsec = static_cast<long>(unix_ns % 1'000'000'000)};
  if (::clock_settime(CLOCK_REALTIME, &now) != 0) return Error::from_errno("set the wall clock");
  return {};
}

Status stir_random(std::span<const uint8_t> bytes) {
  UniqueFd device(::open("/dev/urandom", O_RDWR | O_CLOEXEC));
  if (!device) return Error::from_errno("/dev/urandom");
  std::vector<uint8_t> raw(sizeof(rand_pool_info) + bytes.size());
  const rand_pool_info head{.entropy_count = static_cast<int>(bytes.size() * 8),
                            .buf_size = static_cast<int>(bytes.size())};
  std::memcpy(raw.data(), &head, sizeof head);
  std::memcpy(raw.data() + sizeof head, bytes.data(), bytes.size());
  // Adding alone would show at the next reseed only, a minute later.
  if (::ioctl(device.get(), RNDADDENTROPY, raw.data()) != 0 || ::ioctl(device.get(), RNDRESEEDCRNG) != 0)
    return Error::from_errno("random state");
  return {};
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
