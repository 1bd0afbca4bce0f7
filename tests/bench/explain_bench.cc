// explain against grep -c on the same 100 MB: an ordinary log with a few crashes, and a text of crash lines only; memory must
// not grow with the text.
//
// Usage: ktstr_explain_bench KTSTR_LAUNCH CASES_FOLDER [MEGABYTES]
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "tests/bench/bench_kit.h"

namespace ktstr::bench {
namespace {

constexpr int kRounds = 3;
constexpr double kTimesGrep = 20;

std::string all_cases(const std::string& folder) {
  std::string text;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".txt") continue;
    std::ostringstream one;
    one << std::ifstream(entry.path()).rdbuf();
    text += one.str() + "\n";
  }
  return text;
}

void write_crashes(const std::string& path, const std::string& cases, size_t bytes) {
  std::ofstream file(path);
  for (size_t written = 0; written < bytes; written += cases.size()) file << cases;
}

// What a machine logs all day; the cases once in 20 MB.
void write_log(const std::string& path, const std::string& cases, size_t bytes) {
  std::ofstream file(path);
  size_t written = 0, next = 0;
  for (unsigned i = 0; written < bytes; ++i) {
    char line[160];
    const int n = std::snprintf(
        line, sizeof(line),
        "Mar 04 22:%02u:%02u host1 systemd[1]: run-u%u.service: Consumed %u.%03us CPU time, %uM "
        "memory peak.\n",
        i / 60 % 60, i % 60, i, i % 50, i % 1000, i % 900);
    file << line;
    written += static_cast<size_t>(n);
    if (written < next) continue;
    file << cases;
    written += cases.size();
    next = written + (20u << 20);
  }
}

struct Took {
  double seconds = 0;
  long max_rss_kb = 0;
};
// Output goes to a file: grep -c that writes to /dev/null stops at the first match.
Took run(const std::vector<std::string>& command, const std::string& output) {
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = 0;
  int status = 0;
  Stopwatch watch;
  if (posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) != 0) std::exit(3);
  rusage used{};
  if (::wait4(pid, &status, 0, &used) != pid || !WIFEXITED(status) || WEXITSTATUS(status) > 1) std::exit(3);
  posix_spawn_file_actions_destroy(&actions);
  // CPU time: other work on the machine must not decide.
  auto cpu = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return {cpu(used.ru_utime) + cpu(used.ru_stime), used.ru_maxrss};
}

Took median_of(const std::vector<std::string>& command, const std::string& output) {
  std::vector<double> took;
  Took out;
  for (int i = 0; i < kRounds; ++i) {
    const Took one = run(command, output);
    took.push_back(one.seconds);
    out.max_rss_kb = std::max(out.max_rss_kb, one.max_rss_kb);
  }
  out.seconds = median(took);
  return out;
}

int main_of(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string launch = argv[1];
  const size_t bytes = (argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 100) << 20;
  const std::string cases = all_cases(argv[2]);
  ::setenv("LC_ALL", "C", 1);
  Folder folder;
  Bars bars;
  const std::string log = folder.file("log.txt"), crashes = folder.file("crashes.txt"),
                    small = folder.file("small.txt");
  write_log(log, cases, bytes);
  write_crashes(crashes, cases, bytes);
  write_crashes(small, cases, bytes / 4);
  for (const std::string& path : {log, crashes}) {
    const double grep = median_of({"grep", "-c", "sched_ext", path}, folder.file("out")).seconds;
    const Took explain = median_of({launch, "explain", "--json", path}, folder.file("out"));
    std::printf("  %s: explain %.3f s, grep -c %.3f s of CPU\n", path == log ? "a log" : "crash lines only",
                explain.seconds, grep);
    bars.at_most(
        path == log ? "explain of a log, times grep -c" : "explain of crash lines only, times grep -c",
        explain.seconds / grep, kTimesGrep);
  }
  const long of_small = run({launch, "explain", "--json", small}, folder.file("out")).max_rss_kb;
  const long of_all = run({launch, "explain", "--json", crashes}, folder.file("out")).max_rss_kb;
  bars.at_most("memory for four times the text", static_cast<double>(of_all) / static_cast<double>(of_small),
               1.25);
  return bars.exit_code();
}

}  // namespace
}  // namespace ktstr::bench

int main(int argc, char** argv) { return ktstr::bench::main_of(argc, argv); }
