// How many tests run side by side: --jobs N, or auto, which counts what this host has and says why.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ktstr {

// What this process may use: CPUs by affinity and cgroup, memory by MemAvailable and cgroup.
struct HostRoom {
  uint32_t cpus = 1;
  uint64_t memory_mb = 0;  // 0: not known
};
HostRoom host_room();

struct JobsRequest {
  bool emulated = true;            // TCG: one VM has one host thread, whatever its vCPUs
  uint32_t most_vcpus = 1;         // of the tests
  uint64_t most_memory_mb = 1024;  // of the tests
  size_t runs = 1;                 // tests times rounds: more jobs than that have nothing to do
  HostRoom room;
};
struct JobsChoice {
  uint32_t jobs = 1;
  std::string why;  // "2 CPUs, one host thread a VM (tcg)"
};
JobsChoice choose_jobs(const JobsRequest& request);

// "auto" gives 0. kInvalid: neither auto nor a number from 1 to 1024.
Result<uint32_t> parse_jobs(std::string_view text);

}  // namespace ktstr
