// A guest that attacks its host, for real (tests/hostile/hostile_guest.cc): the host's processes stay up and small, the run ends, what
// is printed is safe, the log is whole, and the report does not hide that the channel was spoiled.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "base/text.h"
#include "schemas/event_generated.h"
#include "schemas/run_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

constexpr uint64_t kMaxAnonKib = 256 * 1024;

// Anonymous memory of a process, KiB; 0: it has ended.
uint64_t anonymous_kib(const std::string& pid) {
  std::ifstream status("/proc/" + pid + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8));
  return 0;
}

class Hostile : public testing::TestWithParam<const char*> {};

TEST_P(Hostile, TheHostStaysUpAndTheReportIsHonest) {
  const std::string how = GetParam();
  Scratch scratch;
  const std::string spec = scratch.write(
      "spec.toml",
      spec_text({.scheduler = "scx_good",
                 .test = "auto_repro = false\n\n  [[test.payload]]\n  name = \"hostile\"\n  binary = \"" +
                         std::string(KTSTR_HOSTILE_GUEST) + "\"\n  args = [\"" + how +
                         "\", \"4\"]\n  timeout_s = 60\n",
                 .duration_s = 5}));
  Running run(scratch, launch_argv({"run", spec, "--out", scratch.path() + "/out"}),
              {"XDG_RUNTIME_DIR=" + scratch.path()});
  std::map<std::string, uint64_t> largest;  // by program
  const bool ended = wait_until(
      [&] {
        for (const char* program : {"ktstr-collector", "ktstr-monitor", "ktstr-reproer", "ktstr-reporter"})
          for (const std::string& line :
               processes_with(std::string("/") + program + " --bus", scratch.path()))
            largest[program] = std::max(largest[program], anonymous_kib(line.substr(0, line.find(' '))));
        largest["ktstr-launch"] = std::max(largest["ktstr-launch"], anonymous_kib(std::to_string(run.pid())));
        return !run.running();
      },
      kRunLimit);
  ASSERT_TRUE(ended) << run.err();
  const auto output = run.finish();

  // Whatever the guest says: a pass, a finding, or (3, 4) none.
  EXPECT_TRUE(output.exit_code == 0 || output.exit_code == 1 || output.exit_code == 3 ||
              output.exit_code == 4)
      << output.exit_code << output.out << output.err;
  EXPECT_EQ(largest.size(), 5u) << "every process was seen";
  for (const auto& [program, kib] : largest) EXPECT_LT(kib, kMaxAnonKib) << program;
  for (const std::string& text : {output.out, output.err}) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_EQ(printable(line), line);
  }

  const auto events = read_log(scratch.path() + "/out/t/events.ktlog");
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events.back().type(), Payload::RunFinished);
  const std::string run_id(str(events.front()->run_id()));
  int verdicts = 0;
  bool finished = false;  // the guest
  for (const EventBuffer& e : events) {
    EXPECT_EQ(str(e->run_id()), run_id);
    if (auto* helper = e.as<HelperExited>()) {
      EXPECT_EQ(helper->signal(), 0) << str(helper->name());
    }
    finished |= e.type() == Payload::GuestFinished;
    if (e.type() == Payload::Verdict) {
      ++verdicts;
      EXPECT_EQ(str(e->source()), "reporter");
    }
  }
  EXPECT_EQ(verdicts, 1);
  if (how == "text") {
    EXPECT_NE(output.out.find("what this guest says cannot be trusted"), std::string::npos) << output.out;
  }
  if (how != "text") {
    EXPECT_NE(output.out.find("guest channel: "), std::string::npos)
        << "nothing came of the attack: " << output.out;
  }
  if (how == "reset") {
    EXPECT_FALSE(finished) << "the guest was not reset";
  }
}

INSTANTIATE_TEST_SUITE_P(Attack, Hostile, testing::Values("frames", "flood", "text", "reset"),
                         [](const auto& attack) { return std::string(attack.param); });

}  // namespace
}  // namespace ktstr::e2e
