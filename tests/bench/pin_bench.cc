// A pin over a corpus of 100 MB against grep -E and ripgrep on the same text: ratios, and growth with the
// corpus. ripgrep where it is installed.
//
// Usage: ktstr_pin_bench [MEGABYTES]
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "scx/error_pin.h"
#include "tests/bench/bench_kit.h"

namespace ktstr::bench {
namespace {

constexpr int kRounds = 3;

// What a scheduler prints in a long run, and one error at its end.
std::string corpus_of(size_t bytes) {
  std::string text;
  text.reserve(bytes + 256);
  for (unsigned i = 0; text.size() < bytes; ++i) {
    char line[160];
    std::snprintf(line, sizeof(line),
                  "[x] layer %u: %u enqueued by cg_%u/%u[%u] on cpu %u, budget 0x%x left, %u.%03u s\n", i % 7,
                  i, i % 4, i % 9, 100 + i % 800, i % 64, i * 2654435761u, i / 1000, i % 1000);
    text += line;
  }
  return text + "  scx_bpf_error (apply_cell_config returned -EINVAL for cell 7)";
}

struct Case {
  const char* what;
  const char* pattern;  // in the syntax that RE2, grep -E and ripgrep share
  bool found;
  double grep_bar = 4, ripgrep_bar = 8;  // times as long as theirs
};
constexpr Case kCases[] = {
    {"a text", "apply_cell_config returned", true},
    {"a text with classes", "apply_cell_config returned -E[A-Z]+ for cell [0-9]+", true},
    // Both look for the text in the middle first, RE2 goes through every word.
    {"a wildcard first", "[a-z_]+ returned -E[A-Z]+", true, 25, 25},
    {"a miss that makes backtrackers explode", "(a+)+c(a|aa)+[0-9]x", false},
};

double time_pin(const Case& c, const std::string& corpus) {
  auto pin = ErrorPin::compile({.contains = {}, .matches = c.pattern});
  if (!pin) std::exit(3);
  std::vector<double> took;
  for (int i = 0; i < kRounds; ++i) {
    Stopwatch watch;
    const bool matched = pin->check(corpus, true).matched();
    took.push_back(watch.seconds());
    if (matched != c.found) std::exit(3);
  }
  return median(took);
}

// Seconds that a command takes; negative when it cannot be started.
double time_command(const std::vector<std::string>& argv, bool found) {
  std::vector<double> took;
  for (int i = 0; i < kRounds; ++i) {
    Stopwatch watch;
    const pid_t pid = ::fork();
    if (pid == 0) {
      (void)!std::freopen("/dev/null", "w", stdout);
      std::vector<char*> words;
      for (const std::string& a : argv) words.push_back(const_cast<char*>(a.c_str()));
      words.push_back(nullptr);
      ::setenv("LC_ALL", "C", 1);
      ::execvp(words[0], words.data());
      ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    took.push_back(watch.seconds());
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 127) return -1;
    if ((WEXITSTATUS(status) == 0) != found) {
      std::fprintf(stderr, "%s does not agree about %s\n", argv[0].c_str(), argv[argv.size() - 2].c_str());
      std::exit(3);
    }
  }
  return median(took);
}

int run(size_t megabytes) {
  Folder folder;
  const std::string corpus = corpus_of(megabytes << 20), quarter = corpus_of(megabytes << 18);
  const std::string path = folder.file("corpus.txt");
  std::FILE* f = std::fopen(path.c_str(), "w");
  if (!f || std::fwrite(corpus.data(), 1, corpus.size(), f) != corpus.size() || std::fclose(f) != 0) return 3;
  Bars bars;
  for (const Case& c : kCases) {
    const double pin = time_pin(c, corpus), small = time_pin(c, quarter);
    const double grep = time_command({"grep", "-E", "-c", "-e", c.pattern, path}, c.found);
    const double rg = time_command({"rg", "-c", "-e", c.pattern, path}, c.found);
    std::printf("%s: pin %.0f ms, grep -E %.0f ms", c.what, pin * 1e3, grep * 1e3);
    std::printf(rg < 0 ? ", ripgrep: not installed\n" : ", ripgrep %.0f ms\n", rg * 1e3);
    bars.at_most(std::string(c.what) + ": four times the corpus takes times", pin / small, 8);
    if (grep > 0) bars.at_most(std::string(c.what) + ": pin against grep -E", pin / grep, c.grep_bar);
    if (rg > 0) bars.at_most(std::string(c.what) + ": pin against ripgrep", pin / rg, c.ripgrep_bar);
  }
  return bars.exit_code();
}

}  // namespace
}  // namespace ktstr::bench

int main(int argc, char** argv) {
  return ktstr::bench::run(argc > 1 ? static_cast<size_t>(std::max(8, std::atoi(argv[1]))) : 100);
}
