// The guest's cgroups (v2): made, given CPUs, emptied, removed.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

// CPUs of a list that the host has checked ("0-3,5"); what is no list has none.
std::vector<unsigned> cpus_of(const std::string& list);

// fork(2) straight into the group at `folder`, so that the child never runs anywhere else.
pid_t fork_into(int folder);

class Cgroups {
 public:
  Status add(const std::string& name, const std::string& cpuset);
  // Fails while a process is in it.
  Status remove(const std::string& name);
  // "": all CPUs again.
  Status set_cpuset(const std::string& name, const std::string& cpuset);
  // All processes of one group go to another; those that end meanwhile do not matter.
  Status move_all(const std::string& from, const std::string& to);
  Result<UniqueFd> open(const std::string& name) const;  // "": the root
  bool has(const std::string& name) const { return cpusets_.count(name) != 0; }
  std::string cpuset(const std::string& name) const;

 private:
  std::map<std::string, std::string> cpusets_;
};

}  // namespace ktstr
