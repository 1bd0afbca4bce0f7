// What --jobs 2 gives: eight tests that mostly sleep, and four that compute without pause, one after the other and two at a time.
// All of them must pass each way, and no wall clock is judged but by its ratio to the other.
//
// Usage: ktstr_jobs_bench KTSTR_LAUNCH
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/bench/bench_kit.h"

namespace ktstr::bench {
namespace {

std::string tests(int count, const std::string& work, int seconds) {
  std::string out = "[default]\ncores = 1\nthreads = 1\nnot_starved = false\nmax_gap_ms = 0\nduration_s = " +
                    std::to_string(seconds) + "\n";
  for (int i = 0; i < count; ++i)
    out += "[[test]]\nname = \"t" + std::to_string(i) +
           "\"\n  [[test.cgroup]]\n  name = \"g\"\n  workers = 1\n" + work;
  return out;
}

// Seconds; negative: a test did not pass.
double seconds_of(const std::string& launch, const Folder& folder, const std::string& spec, int jobs) {
  const std::string out = folder.file("out-" + std::to_string(jobs) + "-" + spec);
  Stopwatch watch;
  const std::string command = launch + " run " + folder.file(spec) + " -q --jobs " + std::to_string(jobs) +
                              " --out " + out + " > " + folder.file("said.txt") + " 2>&1";
  const int status = std::system(command.c_str());
  const double seconds = watch.seconds();
  std::printf("%s, --jobs %d: %.1f s\n", spec.c_str(), jobs, seconds);
  if (status == 0) return seconds;
  (void)!std::system(("tail -n 20 " + folder.file("said.txt")).c_str());
  return -1;
}

int run(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: ktstr_jobs_bench KTSTR_LAUNCH\n");
    return 2;
  }
  Folder folder;
  std::ofstream(folder.file("sleepy.toml"))
      << tests(8, "  work = \"Bursty\"\n  burst_ms = 1\n  pause_ms = 200\n", 10);
  std::ofstream(folder.file("busy.toml")) << tests(4, "  work = \"CpuSpin\"\n", 5);
  Bars bars;
  for (const auto& [spec, bar] : {std::pair{"sleepy.toml", 1.6}, std::pair{"busy.toml", 1.0}}) {
    const double one = seconds_of(argv[1], folder, spec, 1), two = seconds_of(argv[1], folder, spec, 2);
    if (one < 0 || two < 0) {
      std::printf("FAIL  %s: a test did not pass\n", spec);
      return 1;
    }
    bars.at_least(std::string(spec) + ": time with --jobs 1 over time with --jobs 2", one / two, bar);
  }
  return bars.exit_code();
}

}  // namespace
}  // namespace ktstr::bench

int main(int argc, char** argv) { return ktstr::bench::run(argc, argv); }
