#include "guest/init/cpu_hotplug.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "base/wording.h"
#include "guest/init/own_class.h"

namespace ktstr::guest {
namespace {

// In the helper: its exit code is the errno of what failed. init has threads, so async-signal-safe calls only.
[[noreturn]] void write_state(const char* path, char state) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  const bool good = file >= 0 && ::write(file, &state, 1) == 1;
  ::_exit(good ? 0 : errno);
}

}  // namespace

Status CpuHotplug::set(std::vector<unsigned> cpus, bool online, uint64_t limit_ns) {
  std::sort(cpus.begin(), cpus.end());
  if (!online) std::reverse(cpus.begin(), cpus.end());
  for (const unsigned cpu : cpus)
    if (auto done = set_one(cpu, online, limit_ns); !done) return done;
  return {};
}

Status CpuHotplug::set_one(unsigned cpu, bool online, uint64_t limit_ns) {
  const std::string path = folder_ + "/cpu" + std::to_string(cpu) + "/online";
  const std::string what = "CPU " + std::to_string(cpu) + (online ? " online" : " offline");
  pid_ = fork_helper();
  if (pid_ < 0) return Error::from_errno("fork the helper that brings " + what);
  if (pid_ == 0) write_state(path.c_str(), online ? '1' : '0');
  if (!loop_.run_until([this] { return pid_ < 0; }, now_ns() + limit_ns)) {
    late_.insert(pid_);
    pid_ = -1;
    return Error::timeout(what + ": not done within " + std::to_string(limit_ns / kSecond) +
                          " s; the kernel's threads that do it are run by the scheduler");
  }
  if (!WIFEXITED(status_)) return Error::system(what + ": the helper that writes " + path + " was killed");
  const int error = WEXITSTATUS(status_);
  if (error == 0) return {};
  return Error::system(what + ": the kernel refuses it: " + errno_text(error) + " (" + path + ")");
}

bool CpuHotplug::on_end(pid_t pid, int wait_status) {
  if (late_.erase(pid) != 0) return true;
  if (pid != pid_ || pid_ < 0) return false;
  status_ = wait_status;
  pid_ = -1;
  return true;
}

}  // namespace ktstr::guest
