#include "launcher/runner/jobs.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>

#include "base/small_files.h"

namespace ktstr {
namespace {

constexpr uint32_t kMostJobs = 1024;
// What QEMU and the four helpers of a test take beside the guest's memory.
constexpr uint64_t kOverheadMb = 350;

// The value of "KEY:   N kB".
uint64_t meminfo_kb(const std::string& text, const std::string& key) {
  const size_t at = text.find(key + ":");
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + key.size() + 1, nullptr, 10);
}

// The folder of this process's cgroup (v2); empty: none.
std::string own_cgroup() {
  const std::string text = read_text_or("/proc/self/cgroup", "");
  const size_t at = text.rfind("0::/", text.npos);
  if (at == std::string::npos || (at > 0 && text[at - 1] != '\n')) return {};
  return "/sys/fs/cgroup" + text.substr(at + 3, text.find('\n', at) - at - 3);
}

// The tightest limit from this cgroup up to the root.
template <typename Read>
void each_cgroup(Read read) {
  for (std::string folder = own_cgroup(); folder.size() >= sizeof("/sys/fs/cgroup") - 1;
       folder.resize(folder.rfind('/')))
    read(folder);
}

}  // namespace

HostRoom host_room() {
  HostRoom room;
  cpu_set_t set;
  CPU_ZERO(&set);
  const long online = std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));
  room.cpus = ::sched_getaffinity(0, sizeof set, &set) == 0
                  ? static_cast<uint32_t>(std::max(1, CPU_COUNT(&set)))
                  : static_cast<uint32_t>(online);
  room.memory_mb = meminfo_kb(read_text_or("/proc/meminfo", ""), "MemAvailable") / 1024;
  each_cgroup([&](const std::string& folder) {
    double quota = 0, period = 0;
    if (std::sscanf(read_text_or(folder + "/cpu.max", "").c_str(), "%lf %lf", &quota, &period) == 2 &&
        period > 0)
      room.cpus = std::min(room.cpus, std::max(1u, static_cast<uint32_t>(quota / period + 0.5)));
    const std::string limit = read_text_or(folder + "/memory.max", "max");
    const std::string used = read_text_or(folder + "/memory.current", "");
    if (limit == "max" || used.empty()) return;
    const uint64_t most = std::strtoull(limit.c_str(), nullptr, 10),
                   have = std::strtoull(used.c_str(), nullptr, 10);
    room.memory_mb = std::min(room.memory_mb, (most - std::min(most, have)) >> 20);
  });
  return room;
}

JobsChoice choose_jobs(const JobsRequest& request) {
  const uint32_t threads = request.emulated ? 1 : std::max(1u, request.most_vcpus);
  const uint64_t memory = std::max<uint64_t>(1, request.most_memory_mb + kOverheadMb);
  const uint64_t by_cpu = std::max(1u, request.room.cpus / threads);
  const uint64_t by_memory =
      request.room.memory_mb == 0 ? kMostJobs : std::max<uint64_t>(1, request.room.memory_mb / memory);
  const uint64_t runs = std::max<uint64_t>(1, request.runs);
  JobsChoice choice;
  choice.jobs = static_cast<uint32_t>(std::min({by_cpu, by_memory, runs, uint64_t{kMostJobs}}));
  const std::string cpus = std::to_string(request.room.cpus) + (request.room.cpus == 1 ? " CPU" : " CPUs");
  if (runs < std::min(by_cpu, by_memory))
    choice.why =
        runs == 1 ? "there is one test to run" : "there are " + std::to_string(runs) + " tests to run";
  else if (by_memory < by_cpu)
    choice.why = std::to_string(request.room.memory_mb) + " MB of memory are free, a VM takes up to " +
                 std::to_string(memory);
  else if (request.emulated)
    choice.why = cpus + ", and an emulated VM has one host thread";
  else
    choice.why = cpus + ", and a VM has up to " + std::to_string(threads) + " vCPUs";
  return choice;
}

Result<uint32_t> parse_jobs(std::string_view text) {
  if (text == "auto") return uint32_t{0};
  uint32_t jobs = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), jobs);
  if (error != std::errc() || end != text.data() + text.size() || jobs < 1 || jobs > kMostJobs)
    return Error::invalid("--jobs " + std::string(text) + ": neither auto nor a number from 1 to " +
                          std::to_string(kMostJobs));
  return jobs;
}

}  // namespace ktstr
