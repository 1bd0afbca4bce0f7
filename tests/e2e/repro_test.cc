// What the repro VM's probes report, beyond the demo: values of kernel functions and of the scheduler's own
// types, calls before the last, hits of a guest that died, and the way from a crash to its regression test.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <sstream>

#include "schemas/repro_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

// From a title to the next.
std::string section(const std::string& report, const std::string& title) {
  const size_t at = report.find("--- " + title + " ---");
  if (at == std::string::npos) return "";
  return report.substr(at, report.find("\n--- ", at + 1) - at);
}

bool has(const std::string& text, const char* pattern) {
  return std::regex_search(text, std::regex(pattern));
}

// Built as large schedulers are, and it fails in a sleepable callback, on a kernel without the exit
// tracepoint. Then its crash is pinned with what `pin` says, and found again.
TEST(Repro, FromALargeSchedulersCrashToItsRegressionTest) {
  Scratch scratch;
  const SpecText scheduler{.scheduler = "scx_layered_like", .work = "ForkExit"};
  auto run = launch(scratch, {"run", scratch.write("spec.toml", spec_text(scheduler)), "--kernel", "6.16",
                              "--repro-history", "3", "--out", scratch.path() + "/out"});
  ASSERT_EQ(run.exit_code, 1) << run.out << run.err;
  const std::string repro = section(run.out, "auto-repro");
  EXPECT_TRUE(has(repro, "crash reproduction: same signature \\(1 of 1 try\\)")) << repro;
  EXPECT_TRUE(has(repro, "\ntrigger: kprobe scx_v?exit\n")) << repro;
  // A subprogram's argument, a field of the scheduler's own type, a change, a return value; a kernel
  // function's too.
  EXPECT_TRUE(has(repro, "layer_fork_budget_verdict\\(struct task_struct \\*p, __u64 forks\\)")) << repro;
  EXPECT_TRUE(has(repro, "\n +forks +__u64 +51\n +returns +-7\n")) << repro;
  EXPECT_TRUE(has(repro, "account->layer_name +char \\[16\\] +\"interactive\"")) << repro;
  EXPECT_TRUE(has(repro, "account->nr_forks +__u64 +50")) << repro;
  EXPECT_TRUE(has(repro, "\\[scheduler callback\\]\n +at .*scx_layered_like\\.bpf\\.c:[0-9]+")) << repro;
  EXPECT_TRUE(has(repro, "copy_process\\([^\n]*\\)\n([^\n]+\n){1,9} +returns +0xff")) << repro;
  EXPECT_TRUE(has(repro, "p->scx\\.flags +u32 +[^\n]+ → [^\n]*SCX_TASK_RESET_RUNNABLE_AT")) << repro;
  const size_t earlier = repro.find("\nearlier calls of the same functions");
  ASSERT_NE(earlier, std::string::npos) << repro;
  EXPECT_TRUE(has(repro.substr(earlier), "cg_0/[01]\\[[0-9]+\\], forks=[0-9]+; returns 0\n")) << repro;

  auto pin = launch(scratch, {"pin", scratch.path() + "/out/t/events.ktlog"});
  ASSERT_EQ(pin.exit_code, 0) << pin.err;
  EXPECT_NE(pin.out.find("# proved: the repro VM's corpus"), std::string::npos) << pin.out;
  SpecText pinned = scheduler;
  pinned.test = pin.out;
  auto again = launch(scratch, {"run", scratch.write("pinned.toml", spec_text(pinned)), "--kernel", "6.16",
                                "--out", scratch.path() + "/again"});
  EXPECT_EQ(again.exit_code, 0) << again.out << again.err;
}

// Prototypes of the functions of the crash chain in call order, each with its return value. Without those that the
// second crash did not come by: a note says so, and a call of theirs has no return.
std::vector<std::pair<std::string, std::string>> chain_of(const std::string& repro) {
  std::vector<std::pair<std::string, std::string>> chain;
  const std::regex function(" *[0-9]+\\. (.*)"), result(" +returns +([^ ].*)");
  std::istringstream lines(repro);
  std::smatch m;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_match(line, m, function)) chain.emplace_back(m[1], "");
    if (line.starts_with("       note: ") && !chain.empty()) chain.pop_back();
    if (std::regex_match(line, m, result) && !chain.empty()) chain.back().second = m[1];
  }
  return chain;
}

// Both modes tell the crash chain's values at the call and at the return; the signature is the same.
TEST(Repro, LightProbesKeepWhatTheChainDid) {
  Scratch scratch;
  const std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_deep",
                                                                 .args = "\"--fail-after\", \"500\"",
                                                                 .work = "PipeIo",
                                                                 .duration_s = 30}));
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> of_scheduler;
  for (const std::string mode : {"light", "full"}) {
    auto run = launch(scratch, {"run", spec, "--repro-probes", mode, "--out", scratch.path() + "/" + mode});
    ASSERT_EQ(run.exit_code, 1) << run.out << run.err;
    const std::string repro = section(run.out, "auto-repro");
    EXPECT_TRUE(has(repro, "crash reproduction: same signature \\(1 of 1 try\\)")) << repro;
    EXPECT_NE(repro.find("; " + mode + " probes, as asked for\n"), std::string::npos) << repro;
    EXPECT_TRUE(has(repro, "scx\\.dsq\\.id +u64 +(none|no DSQ|DSQ 0x[0-9a-f]+) → DSQ 0x100")) << repro;
    const auto chain = chain_of(repro);
    EXPECT_GE(chain.size(), 10u) << repro;
    for (const auto& [prototype, result] : chain) {
      if (!prototype.starts_with("void ")) {
        EXPECT_NE(result, "") << mode << ": " << prototype << "\n" << repro;
      }
      if (prototype.ends_with("[scheduler]")) of_scheduler[mode].emplace_back(prototype, result);
    }
    for (const auto& event : read_log(scratch.path() + "/" + mode + "/t/events.ktlog")) {
      const auto* asked = event.as<ReproRequested>();
      if (!asked) continue;
      EXPECT_EQ(asked->plan()->probes(), mode == "light" ? ReproProbes::Light : ReproProbes::Full);
    }
  }
  EXPECT_EQ(of_scheduler["light"].size(), 7u);
  EXPECT_EQ(of_scheduler["light"].size(), of_scheduler["full"].size());
}

// Nothing inside a guest survives its panic: the hits come out of its memory.
TEST(Repro, APanicTakesNoHitsWithIt) {
  Scratch scratch;
  std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_sysrq"}));
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.err;
  EXPECT_TRUE(has(run.out, "^BUG SUMMARY: kernel panic: .*\\(in sysrq_handle_crash\\)")) << run.out;
  const std::string repro = section(run.out, "auto-repro");
  EXPECT_TRUE(has(repro, "crash reproduction: same signature")) << repro;
  EXPECT_TRUE(has(repro, "read from its memory")) << repro;
  EXPECT_TRUE(has(repro,
                  "sysrq_handle_crash\\(u8 key\\)\n([^\n]*\n){1,2} +CPU [0-9]+, scx_sysrq\\[[0-9]+\\], .* "
                  "before the crash\n +key +u8 +99"))
      << repro;
  // The log holds them: another reporter gives the same bytes.
  Running reporter(scratch,
                   {std::string(KTSTR_BIN) + "/ktstr-reporter", scratch.path() + "/out/t/events.ktlog"});
  EXPECT_EQ(reporter.finish().out, read_file(scratch.path() + "/out/t/report.txt"));
}

}  // namespace
}  // namespace ktstr::e2e
