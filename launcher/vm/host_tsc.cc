#include "launcher/vm/host_tsc.h"

#include <unistd.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "base/small_files.h"
#include "base/text.h"

namespace ktstr {
namespace {

constexpr auto kBetween = std::chrono::milliseconds(50);
constexpr uint32_t kLeastKhz = 100'000, kMostKhz = 20'000'000;

// In /proc/cpuinfo's `flags`: the rate does not change, and the counter does not stop.
bool runs_evenly() {
  std::ifstream cpus("/proc/cpuinfo");
  for (std::string line; std::getline(cpus, line);)
    if (line.starts_with("flags")) return (line + " ").find(" constant_tsc ") != std::string::npos;
  return false;
}

#if defined(__x86_64__)
uint64_t steady_ns() {
  return static_cast<uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

// Of several readings the one whose two looks at the clock are closest: nobody else had the CPU between them.
TscReading read_counter() {
  TscReading best;
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < 100; ++i) {
    const uint64_t before = steady_ns();
    const uint64_t ticks = __rdtsc();
    const uint64_t after = steady_ns();
    if (after - before >= least) continue;
    least = after - before;
    best = {before + (after - before) / 2, ticks};
  }
  return best;
}

uint32_t measure() {
  if (!runs_evenly()) return 0;
  const TscReading first = read_counter();
  std::this_thread::sleep_for(kBetween);
  return tsc_khz_between(first, read_counter());
}
#else
uint32_t measure() { return 0; }
#endif

// "BOOT_ID KHZ"; 0: not of this boot.
uint32_t recall(const std::string& file, const std::string& boot_id) {
  const std::string text = read_text_or(file, "");
  if (text.size() < boot_id.size() + 2 || !text.starts_with(boot_id + " ")) return 0;
  uint32_t khz = 0;
  const char* begin = text.data() + boot_id.size() + 1;
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), khz);
  return error == std::errc() && trim(end).empty() && khz >= kLeastKhz && khz <= kMostKhz ? khz : 0;
}

}  // namespace

uint32_t tsc_khz_between(const TscReading& first, const TscReading& second) {
  if (second.ns <= first.ns || second.ticks <= first.ticks) return 0;
  const double khz =
      static_cast<double>(second.ticks - first.ticks) * 1e6 / static_cast<double>(second.ns - first.ns);
  return khz >= kLeastKhz && khz <= kMostKhz ? static_cast<uint32_t>(khz + 0.5) : 0;
}

uint32_t host_tsc_khz(const std::string& cache_dir) {
  const std::string boot_id = std::string(trim(read_text_or("/proc/sys/kernel/random/boot_id", "")));
  const std::string file = cache_dir + "/tsc";
  const bool keeps = !cache_dir.empty() && !boot_id.empty();
  if (keeps)
    if (const uint32_t known = recall(file, boot_id)) return known;
  const uint32_t khz = measure();
  if (!keeps || khz == 0) return khz;
  std::error_code ignored;
  std::filesystem::create_directories(cache_dir, ignored);
  (void)write_file_atomically(file, boot_id + " " + std::to_string(khz) + "\n", {.sync = false}).ok();
  // Of two processes that measure at the same time both take the value that is kept.
  const uint32_t kept = recall(file, boot_id);
  return kept != 0 ? kept : khz;
}

}  // namespace ktstr
