// Deterministic runs: the same seed gives the same stream and the same report, whatever the host does meanwhile.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>

#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/normalised_stream.h"
#include "schemas/workload_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

struct Course {
  int exit_code = -1;
  std::string stream;  // SHA-256
  std::string report;
  uint64_t samples = 0;
  std::string not_still;  // what the monitor read from a guest that did not stand still
};

std::string hash_of(const std::vector<EventBuffer>& log) {
  NormalisedStream stream;
  for (const EventBuffer& event : log) {
    if (event.type() == Payload::FactsCompleted) break;
    stream.add(event);
  }
  return stream.hex();
}

Course run(const Scratch& scratch, const std::string& spec, const std::string& name,
           std::vector<std::string> options, const std::vector<std::string>& env = {}) {
  std::vector<std::string> args = {"run", spec, "--out", scratch.path() + "/" + name, "--deterministic"};
  args.insert(args.end(), options.begin(), options.end());
  Course course;
  course.exit_code = launch(scratch, args, env).exit_code;
  const std::string folder = scratch.path() + "/" + name + "/t";
  auto log = read_log(folder + "/events.ktlog");
  course.stream = hash_of(log);
  course.report = read_file(folder + "/report.txt");
  for (const EventBuffer& event : log) {
    if (event.type() == Payload::MonitorSample) ++course.samples;
    if (auto* stopped = event.as<MonitorStopped>(); stopped && stopped->parts_failed())
      for (const auto* part : *stopped->parts_failed()) course.not_still += str(part->name());
  }
  return course;
}

// Two processes that compute: the host is busy.
class Load {
 public:
  explicit Load(const Scratch& scratch) {
    for (int i = 0; i < 2; ++i)
      loops_.push_back(std::make_unique<Running>(
          scratch, std::vector<std::string>{"/bin/sh", "-c", "while :; do :; done"}));
  }
  ~Load() {
    for (auto& loop : loops_) {
      loop->signal(SIGKILL);
      loop->finish();
    }
  }

 private:
  std::vector<std::unique_ptr<Running>> loops_;
};

// The report names its stream.
std::string stated_stream(const std::string& report) {
  std::smatch match;
  return std::regex_search(report, match, std::regex("deterministic, seed [0-9]+: stream ([0-9a-f]{12})"))
             ? match[1].str()
             : "";
}

void expect_same(const Course& a, const Course& b) {
  EXPECT_EQ(a.exit_code, b.exit_code);
  EXPECT_EQ(a.stream, b.stream);
  EXPECT_EQ(a.report, b.report);
  EXPECT_EQ(a.not_still + b.not_still, "");
  EXPECT_GT(a.samples, 0u);
  EXPECT_EQ(stated_stream(a.report), a.stream.substr(0, 12));
}

std::string crash_spec(const Scratch& scratch) {
  return scratch.write("crash.toml", spec_text({.scheduler = "scx_demo",
                                                .args = "\"--fail-after\", \"200\"",
                                                .test = "auto_repro = false\n"}));
}

TEST(Determinism, ACrashIsTheSameOnALoadedHostAndAnotherSeedTakesAnotherCourse) {
  Scratch scratch;
  const std::string spec = crash_spec(scratch);
  const Course first = run(scratch, spec, "first", {});
  EXPECT_EQ(first.exit_code, 1);
  {
    Load load(scratch);
    const Course loaded = run(scratch, spec, "loaded", {});
    expect_same(first, loaded);
  }
  const Course other = run(scratch, spec, "other", {"--seed", "5"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_NE(first.stream, other.stream);
}

// A stall, because its guest is often idle: only then do QEMU's main loop and its vCPUs meet (launcher/deterministic/preload).
TEST(Determinism, AMainLoopThatIsAlwaysAwakeChangesNothing) {
  Scratch scratch;
  const std::string spec = scratch.write(
      "stall.toml", spec_text({.scheduler = "scx_stall", .test = "auto_repro = false\n", .duration_s = 20}));
  const Course quiet = run(scratch, spec, "quiet", {});
  EXPECT_EQ(quiet.exit_code, 1);
  expect_same(quiet, run(scratch, spec, "restless", {}, {"LD_PRELOAD=" KTSTR_RESTLESS}));
}

// CPUs that compute without end, and init beside them: each gets its share, whatever ends the turns.
TEST(Determinism, NoVcpuKeepsTheOthersWaiting) {
  Scratch scratch;
  struct {
    const char* seed;
    int cpus;
  } const runs[] = {{"0", 8}, {"1", 2}};  // seed 1 changes the vCPU every 3.5 us
  for (const auto& [seed, cpus] : runs) {
    SCOPED_TRACE(seed);
    const std::string spec = scratch.write("spin.toml", spec_text({.scheduler = "scx_good",
                                                                   .test = "auto_repro = false\n",
                                                                   .work = "CpuSpin",
                                                                   .workers = cpus,
                                                                   .duration_s = 0.7,
                                                                   .cores = cpus}));
    run(scratch, spec, seed, {"--seed", seed});  // its verdict does not matter
    uint64_t least = UINT64_MAX, most = 0, gap = 0, longest_tick = 0, sampled = 0, reports = 0, samples = 0;
    for (const EventBuffer& event : read_log(scratch.path() + "/" + seed + "/t/events.ktlog")) {
      if (auto* worker = event.as<WorkerReport>()) {
        ++reports;
        least = std::min(least, worker->iterations());
        most = std::max(most, worker->iterations());
        gap = std::max(gap, worker->longest_gap_ns());
      }
      if (auto* sample = event.as<MonitorSample>()) {
        if (sampled != 0) longest_tick = std::max(longest_tick, sample->guest_clock_ns() - sampled);
        sampled = sample->guest_clock_ns();
        ++samples;
      }
    }
    ASSERT_EQ(reports, static_cast<uint64_t>(cpus));
    ASSERT_GE(samples, 5u);
    EXPECT_GT(least, 0u);
    EXPECT_LT(most, 2 * least);
    EXPECT_LT(gap, 50'000'000u);
    EXPECT_LT(longest_tick, 200'000'000u);  // 100 ms, and 25 ms until init comes to its gate
  }
}

TEST(Determinism, TheVmOfARecordedRunTakesItsCourseAgainAndIsLookedAtOnTheWay) {
  Scratch scratch;
  ASSERT_EQ(run(scratch, crash_spec(scratch), "first", {"--seed", "2"}).exit_code, 1);
  const std::string log = scratch.path() + "/first/t/events.ktlog";
  const RunOutput again =
      launch(scratch, {"replay", log, "--vm", "--at=-0.1", "--at=0.01", "--out", scratch.path() + "/again"});
  EXPECT_EQ(again.exit_code, 0) << again.out << again.err;
  EXPECT_NE(again.out.find("the same course as recorded"), std::string::npos) << again.out;
  uint64_t zero = 0;
  std::vector<uint64_t> observed, stages;
  for (const EventBuffer& event : read_log(scratch.path() + "/again/t/events.ktlog")) {
    const uint64_t at = event->stamp()->guest_ns();
    if (event.type() == Payload::StageReached && at != 0) stages.push_back(at);
    if (auto* phase = event.as<PhaseStarted>(); phase && str(phase->name()) == "workload") zero = at;
    auto* frozen = event.as<GuestFrozen>();
    if (!frozen || !frozen->observed()) continue;
    observed.push_back(at);
    EXPECT_EQ(str(frozen->note()), "");
    EXPECT_EQ(frozen->cpus()->size(), 2u);
  }
  ASSERT_EQ(observed.size(), 2u);
  const std::vector<uint64_t> asked = {zero - 100'000'000, zero + 10'000'000};
  for (size_t i = 0; i < observed.size(); ++i) {
    EXPECT_GE(observed[i], asked[i]);
    // Init comes to its gate at every stage, right after it has stamped it: no gate was passed by.
    EXPECT_LE(std::count_if(stages.begin(), stages.end(),
                            [&](uint64_t at) { return at > asked[i] && at < observed[i]; }),
              1);
  }
  EXPECT_NE(read_file(scratch.path() + "/again/t/report.txt").find("as asked for (at "), std::string::npos);
}

TEST(Determinism, ARunOnTheHostsClockHasNoCourseToTakeAgain) {
  Scratch scratch;
  const std::string spec =
      scratch.write("good.toml", spec_text({.scheduler = "scx_good", .duration_s = 0.5}));
  launch(scratch, {"run", spec, "--out", scratch.path() + "/run"});  // its verdict does not matter
  const std::string log = scratch.path() + "/run/t/events.ktlog";
  const RunOutput plain = launch(scratch, {"replay", log, "--vm", "--at", "0.1"});
  EXPECT_EQ(plain.exit_code, 2);
  EXPECT_NE(plain.err.find("no deterministic run"), std::string::npos) << plain.err;
  EXPECT_EQ(launch(scratch, {"replay", log, "--vm"}).exit_code, 2);
  EXPECT_EQ(launch(scratch, {"replay", log, "--at", "0.1"}).exit_code, 2);
}

TEST(Determinism, AcceleratorsThatRunOnTheHostsClockAreRefused) {
  Scratch scratch;
  auto refused = launch(scratch, {"run", crash_spec(scratch), "--deterministic", "--accel", "kvm"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("--deterministic needs software emulation"), std::string::npos) << refused.err;
}

// ./ktstr test --long determinism
struct Case {
  const char* name;
  const char* kernel;
  const char* scheduler;
  const char* args;
  const char* test;
  int exit_code;
  double duration_s;
};
void PrintTo(const Case& c, std::ostream* os) { *os << c.name; }

class DISABLED_LongDeterminism : public testing::TestWithParam<Case> {};

TEST_P(DISABLED_LongDeterminism, ThreeRunsAreTheSameOneOfThemOnALoadedHost) {
  const Case& c = GetParam();
  Scratch scratch;
  const std::string spec = scratch.write(
      "spec.toml",
      spec_text({.scheduler = c.scheduler, .args = c.args, .test = c.test, .duration_s = c.duration_s}));
  const std::vector<std::string> options = {"--kernel", c.kernel, "--seed", "3"};
  const Course first = run(scratch, spec, "first", options);
  EXPECT_EQ(first.exit_code, c.exit_code);
  expect_same(first, run(scratch, spec, "second", options));
  Load load(scratch);
  expect_same(first, run(scratch, spec, "loaded", options));
}

constexpr char kNoRepro[] = "auto_repro = false\n";
INSTANTIATE_TEST_SUITE_P(All, DISABLED_LongDeterminism,
                         testing::Values(Case{"Crash_7_3", "7.3", "scx_demo", "", kNoRepro, 1, 3},
                                         Case{"Crash_6_16", "6.16", "scx_demo", "", kNoRepro, 1, 3},
                                         Case{"Stall_7_3", "7.3", "scx_stall", "", kNoRepro, 1, 20},
                                         Case{"Stall_6_16", "6.16", "scx_stall", "", kNoRepro, 1, 20},
                                         Case{"Pass_7_3", "7.3", "scx_good", "", kNoRepro, 0, 2},
                                         Case{"Pass_6_16", "6.16", "scx_good", "", kNoRepro, 0, 2},
                                         Case{"ReproOfACrash_7_3", "7.3", "scx_demo", "", "", 1, 3}),
                         [](const testing::TestParamInfo<Case>& c) { return std::string(c.param.name); });

}  // namespace
}  // namespace ktstr::e2e
