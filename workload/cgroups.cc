#include "workload/cgroups.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "base/cpu_list.h"
#include "base/small_files.h"

namespace ktstr {
namespace {

std::string path_of(const std::string& name) { return "/sys/fs/cgroup/" + name; }

}  // namespace

std::vector<unsigned> cpus_of(const std::string& list) {
  auto cpus = parse_cpu_list(list, CPU_SETSIZE);
  return cpus ? std::move(*cpus) : std::vector<unsigned>();
}

pid_t fork_into(int folder) {
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<uint64_t>(folder);
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
}

Status Cgroups::add(const std::string& name, const std::string& cpuset) {
  const std::string path = path_of(name);
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return Error::from_errno("cgroup " + path);
  cpusets_.emplace(name, "");
  return cpuset.empty() ? Status() : set_cpuset(name, cpuset);
}

Status Cgroups::remove(const std::string& name) {
  if (::rmdir(path_of(name).c_str()) != 0) return Error::from_errno("remove cgroup " + name);
  cpusets_.erase(name);
  return {};
}

Status Cgroups::set_cpuset(const std::string& name, const std::string& cpuset) {
  // An empty write means "the parent's"; the kernel wants a newline to see it as one.
  if (auto set = write_text(path_of(name) + "/cpuset.cpus", cpuset.empty() ? "\n" : cpuset); !set)
    return std::move(set).error().within("cgroup " + name);
  cpusets_[name] = cpuset;
  return {};
}

Status Cgroups::move_all(const std::string& from, const std::string& to) {
  // Twice: a process may have been forked while the first list was worked off.
  for (int round = 0; round < 2; ++round) {
    std::istringstream pids(read_text_or(path_of(from) + "/cgroup.procs", ""));
    for (std::string pid; std::getline(pids, pid);) {
      auto moved = write_text(path_of(to) + "/cgroup.procs", pid);
      if (!moved && ::kill(std::atoi(pid.c_str()), 0) == 0)
        return std::move(moved).error().within("process " + pid);
    }
  }
  return {};
}

Result<UniqueFd> Cgroups::open(const std::string& name) const {
  UniqueFd folder(::open(path_of(name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return Error::from_errno("open cgroup " + path_of(name));
  return folder;
}

std::string Cgroups::cpuset(const std::string& name) const {
  auto found = cpusets_.find(name);
  return found == cpusets_.end() ? "" : found->second;
}

}  // namespace ktstr
