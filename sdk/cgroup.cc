// Cgroups of a body: cgroup v2 files, directly; the body is root in the VM.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/unique_fd.h"
#include "sdk/body_context.h"

namespace ktstr {
namespace {

std::string write_file(const std::string& path, const std::string& text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return path + ": " + std::strerror(errno);
  if (::write(fd.get(), text.data(), text.size()) < 0)
    return "\"" + text + "\" to " + path + ": " + std::strerror(errno);
  return {};
}

bool good_name(const std::string& name) {
  return !name.empty() && name.size() <= 100 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
         });
}

}  // namespace

Cgroup TestContext::cgroup(const std::string& name) {
  Cgroup group(*this, name);
  if (!good_name(name))
    error("cgroup \"" + name + "\": a name has letters, digits, '_', '-' and '.', not '.' first");
  else if (::mkdir(group.path().c_str(), 0755) != 0 && errno != EEXIST)
    error("cgroup " + name + ": " + std::strerror(errno));
  return group;
}

std::string Cgroup::path() const { return ctx_->impl().cgroup_root + "/" + name_; }

Cgroup& Cgroup::set_cpuset(const std::string& cpus) {
  ctx_->impl().allow(name_, cpus, /*keep_old=*/true);
  if (auto failure = write_file(path() + "/cpuset.cpus", cpus.empty() ? "\n" : cpus); !failure.empty())
    ctx_->error("cgroup " + name_ + ": set cpuset: " + failure);
  else
    ctx_->impl().allow(name_, cpus, /*keep_old=*/false);
  return *this;
}

Cgroup& Cgroup::clear_cpuset() { return set_cpuset(""); }

void Cgroup::add_task(int pid) {
  if (auto failure = write_file(path() + "/cgroup.procs", std::to_string(pid)); !failure.empty())
    ctx_->error("cgroup " + name_ + ": add task: " + failure);
}

void Cgroup::move_all_to(const Cgroup& other) {
  // Whoever forks meanwhile is caught by another look.
  for (int round = 0; round < 100; ++round) {
    std::ifstream procs(path() + "/cgroup.procs");
    std::vector<int> pids;
    for (int pid; procs >> pid;) pids.push_back(pid);
    if (pids.empty()) return ctx_->impl().moved(name_, other.name());
    for (int pid : pids) {
      const std::string failure = write_file(other.path() + "/cgroup.procs", std::to_string(pid));
      if (!failure.empty() && errno != ESRCH)
        return ctx_->error("cgroup " + name_ + ": move tasks: " + failure);
    }
  }
  ctx_->error("cgroup " + name_ + ": tasks are born faster than they can be moved to " + other.name());
}

void Cgroup::remove() {
  if (::rmdir(path().c_str()) != 0)
    ctx_->error("cgroup " + name_ + ": remove: " + std::strerror(errno) +
                (errno == EBUSY ? " (tasks or groups are in it)" : ""));
}

}  // namespace ktstr
