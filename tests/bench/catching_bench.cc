// What catching the attach costs a scheduler whose user half decides through maps: its rate under the seccomp filter and the
// gate thread against its rate without them, in one boot; median of alternating pairs (tests/bench/catch_pairs.cc).
//
// The guest has one CPU, and its clock follows the instructions that QEMU executes (-icount): what else the host does changes
// nothing, so that equal work gives rates that differ by less than 0.1 percent (without -icount: by a factor of two on a busy
// host). The first run of all is slower, since QEMU translates the code in it.
//
// Usage: ktstr_catching_bench KTSTR_LAUNCH SCHEDULER_DIR CATCH_PAIRS [PAIRS]
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "schemas/event_generated.h"
#include "schemas/log_reader.h"
#include "schemas/workload_generated.h"
#include "tests/bench/bench_kit.h"

namespace ktstr::bench {
namespace {

constexpr double kBar = 0.95;

std::string spec_text(const std::string& schedulers, const std::string& pairs_program, int pairs) {
  const std::string seconds = std::to_string(60 + pairs * 30);
  return "[[test]]\nname = \"pairs\"\ncores = 1\nduration_s = 1\nmax_gap_ms = 0\nnot_starved = "
         "false\nfail_on_stall = false\nfiles = [\"" +
         schedulers + "/scx_user_decides\"]\n" +
         "  [[test.cgroup]]\n  name = \"yield\"\n  workers = 4\n  work = \"YieldHeavy\"\n"
         "  [[test.payload]]\n  name = \"pairs\"\n  binary = \"" +
         pairs_program + "\"\n  timeout_s = " + seconds + "\n  args = [\"" + std::to_string(pairs) +
         "\", \"{files}/scx_user_decides\", \"--seconds\", \"3\"]\n";
}

int run(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: ktstr_catching_bench KTSTR_LAUNCH SCHEDULER_DIR CATCH_PAIRS [PAIRS]\n");
    return 2;
  }
  const int pairs = argc > 4 ? std::atoi(argv[4]) : 5;
  Folder folder;
  std::ofstream(folder.file("pairs.toml")) << spec_text(argv[2], argv[3], pairs);
  const std::string qemu = folder.file("qemu");
  std::ofstream(qemu)
      << "#!/bin/sh\ncase \" $* \" in\n*\" -kernel \"*) exec qemu-system-x86_64 \"$@\" -icount "
         "shift=1,sleep=off,align=off ;;\n*) exec qemu-system-x86_64 \"$@\" ;;\nesac\n";
  ::chmod(qemu.c_str(), 0755);
  const std::string command = "KTSTR_QEMU=" + qemu + " " + std::string(argv[1]) + " run --accel tcg " +
                              folder.file("pairs.toml") + " --out " + folder.file("out") + " > " +
                              folder.file("said.txt") + " 2>&1";
  const int status = std::system(command.c_str());
  std::vector<double> ratios;
  auto log = LogReader::open(folder.file("out/pairs/events.ktlog"));
  if (log)
    while (auto event = log->next()) {
      if (!*event) break;
      const auto* line = (*event)->as<PayloadLine>();
      if (!line) continue;
      double plain = 0, caught = 0;
      std::printf("%s\n", line->text()->c_str());
      if (std::sscanf(line->text()->c_str(), "pair %*d: %lf %lf", &plain, &caught) == 2 && plain > 0)
        ratios.push_back(caught / plain);
    }
  if (status != 0 || static_cast<int>(ratios.size()) != pairs) {
    std::printf("FAIL  the run did not give %d pairs: exit status %d\n", pairs, status);
    (void)!std::system(("tail -n 30 " + folder.file("said.txt")).c_str());
    return 1;
  }
  std::sort(ratios.begin(), ratios.end());
  Bars bars;
  bars.at_least("rate of a user half that decides, caught over plain, median of pairs",
                ratios[ratios.size() / 2], kBar);
  return bars.exit_code();
}

}  // namespace
}  // namespace ktstr::bench

int main(int argc, char** argv) { return ktstr::bench::run(argc, argv); }
