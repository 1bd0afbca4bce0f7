// The stream as a product: replayed on a bus, filtered, damaged, watched from afar, repeated elsewhere, killed in the middle.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kSoon{30'000};

// A recorded crash run of a released version.
std::string golden_log(const Scratch& scratch) {
  std::string path = scratch.path() + "/golden.ktlog";
  Running unpack(scratch, {"python3", "-c",
                           "import lzma,sys; open(sys.argv[2],'wb').write(lzma.open(sys.argv[1]).read())",
                           KTSTR_SOURCE "/tests/golden/format1-0.1.0-enqueue_crash.ktlog.xz", path});
  EXPECT_EQ(unpack.finish().exit_code, 0);
  return path;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

class ReplayTest : public testing::Test {
 protected:
  void SetUp() override {
    log_ = golden_log(scratch_);
    env_ = {"XDG_RUNTIME_DIR=" + scratch_.path() + "/rt"};
    fs::create_directory(scratch_.path() + "/rt");
  }
  // The bus folder of the one live run; empty: none.
  std::string bus() {
    auto runs = launch(scratch_, {"runs", "--json"}, env_);
    auto json = nlohmann::json::parse(runs.out, nullptr, false);
    return json.is_array() && json.size() == 1 && json[0]["replay"] == true
               ? json[0]["bus"].get<std::string>()
               : "";
  }
  Scratch scratch_;
  std::string log_;
  std::vector<std::string> env_;
};

TEST_F(ReplayTest, AReporterAndAToolHearARecordedRunAsALiveOne) {
  for (const char* speed : {"max", "20"}) {
    SCOPED_TRACE(speed);
    Running replay(scratch_,
                   launch_argv({"replay", log_, "--bus", "--speed", speed, "--wait", "2", "--linger", "600"}),
                   env_);
    std::string folder;
    ASSERT_TRUE(wait_until([&] { return !(folder = bus()).empty(); }, kSoon)) << replay.err();
    std::string file = scratch_.path() + "/live.txt";
    Running reporter(scratch_, {std::string(KTSTR_BIN) + "/ktstr-reporter", "--bus", folder, "--log", log_,
                                "--run-id", "any", "--report-file", file});
    auto watch = launch(scratch_, {"watch", "latest", "--json"}, env_);
    EXPECT_EQ(watch.exit_code, 0) << watch.err;
    auto live = reporter.finish(kSoon);
    auto recorded = launch(scratch_, {"replay", log_});
    EXPECT_NE(recorded.out, "");
    EXPECT_EQ(live.out, recorded.out) << live.err;
    EXPECT_EQ(read_file(file), recorded.out);
    EXPECT_TRUE(watch.out == launch(scratch_, {"log", log_, "--json"}).out) << "not what the log holds";
    auto refused = launch(scratch_, {"attach", "latest", "--name", "x", "--", "true"}, env_);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_NE(refused.err.find("recorded run"), std::string::npos) << refused.err;
    replay.signal(SIGTERM);
    auto end = replay.finish(kSoon);
    EXPECT_EQ(end.exit_code, 0) << end.err;
    EXPECT_TRUE(fs::is_empty(scratch_.path() + "/rt")) << "bus folder left";
  }
}

TEST_F(ReplayTest, LogFiltersByTypeSourceVmAndTime) {
  auto events = read_log(log_);
  auto expect = [&](std::vector<std::string> filter, const std::function<bool(const EventBuffer&)>& wanted) {
    std::vector<std::string> args = {"log", log_, "--json"};
    args.insert(args.end(), filter.begin(), filter.end());
    auto output = launch(scratch_, args);
    EXPECT_EQ(output.exit_code, 0) << output.err;
    std::vector<uint64_t> listed, counted;
    for (const auto& line : lines_of(output.out))
      listed.push_back(nlohmann::json::parse(line)["seq"].get<uint64_t>());
    for (const auto& e : events)
      if (wanted(e)) counted.push_back(e.seq());
    EXPECT_EQ(listed, counted) << filter[0];
    EXPECT_GT(counted.size(), 0u) << filter[0];
    EXPECT_LT(counted.size(), events.size()) << filter[0];
  };
  auto seconds = [](const EventBuffer& e) { return static_cast<double>(e->stamp()->host_ns()) / 1e9; };
  expect({"--type", "ProbeHit"}, [](const EventBuffer& e) { return e.type() == Payload::ProbeHit; });
  expect({"--type", "ConsoleLine", "--type", "Verdict"}, [](const EventBuffer& e) {
    return e.type() == Payload::ConsoleLine || e.type() == Payload::Verdict;
  });
  expect({"--source", "monitor"}, [](const EventBuffer& e) { return str(e->source()) == "monitor"; });
  expect({"--vm", "repro"}, [](const EventBuffer& e) { return e.vm() == Vm::Repro; });
  expect({"--from", "5", "--to", "9.5"},
         [&](const EventBuffer& e) { return seconds(e) >= 5 && seconds(e) <= 9.5; });
  expect({"--vm", "Primary", "--source", "guest", "--to", "9"}, [&](const EventBuffer& e) {
    return e.vm() == Vm::Primary && str(e->source()) == "guest" && seconds(e) <= 9;
  });
  for (std::vector<std::string> wrong :
       {std::vector<std::string>{"--type", "NoSuch"}, {"--vm", "third"}, {"--from", "9", "--to", "1"}}) {
    std::vector<std::string> args = {"log", log_};
    args.insert(args.end(), wrong.begin(), wrong.end());
    EXPECT_EQ(launch(scratch_, args).exit_code, 2) << wrong[0];
  }
}

TEST_F(ReplayTest, ADamagedLogIsUsedUpToItsDamageWhichIsSaidWithItsOffset) {
  std::string whole = read_file(log_);
  size_t events = read_log(log_).size();
  struct Damage {
    const char* name;
    std::function<std::string(std::string)> make;
    const char* said;
    size_t left;  // at most so many events
  };
  size_t middle = whole.size() / 2;
  const Damage kDamages[] = {
      {"torn", [&](std::string s) { return s.substr(0, s.size() - 3); }, "ends inside a record", events - 1},
      {"cut", [&](std::string s) { return s.substr(0, middle); }, "offset", events - 2},
      {"flipped",
       [&](std::string s) {
         s[middle] = static_cast<char>(s[middle] ^ 0x40);
         return s;
       },
       "offset", events - 2},
  };
  for (const auto& damage : kDamages) {
    SCOPED_TRACE(damage.name);
    std::string path = scratch_.write(std::string(damage.name) + ".ktlog", damage.make(whole));
    auto log = launch(scratch_, {"log", path, "--json"});
    EXPECT_EQ(log.exit_code, 3);
    EXPECT_NE(log.err.find(damage.said), std::string::npos) << log.err;
    EXPECT_NE(log.err.find("at offset "), std::string::npos) << log.err;
    EXPECT_EQ(lines_of(log.err).size(), 1u) << log.err;
    size_t listed = lines_of(log.out).size();
    EXPECT_GT(listed, 0u);
    EXPECT_LE(listed, damage.left);
    auto report = launch(scratch_, {"replay", path});
    EXPECT_NE(report.out.find("--- timeline ---"), std::string::npos) << report.out;
    // A report ends with FactsCompleted: what is torn off behind that is nothing to it.
    EXPECT_TRUE(damage.left == events - 1 || report.err.find("at offset ") != std::string::npos)
        << report.err;
  }
  for (const auto& [name, content] : {std::pair<const char*, std::string>{"foreign.ktlog",
                                                                          "\x7f"
                                                                          "ELF" +
                                                                              std::string(200, 'x')},
                                      {"short.ktlog", "KTSTR"}}) {
    auto log = launch(scratch_, {"log", scratch_.write(name, content)});
    EXPECT_EQ(log.exit_code, 2);
    EXPECT_NE(log.err.find("not an event log"), std::string::npos) << log.err;
    EXPECT_EQ(log.out, "");
  }
}

TEST(Remote, WithoutKeysNothingListens) {
  Scratch scratch;
  std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_good"}));
  for (const char* where : {"tcp://0.0.0.0:7000", "tcp://127.0.0.1:7000"}) {
    auto run = launch(scratch, {"run", spec, "--listen", where, "--keys", scratch.path() + "/none", "--out",
                                scratch.path() + "/out"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("needs keys"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("ktstr-launch keygen"), std::string::npos) << run.err;
  }
  EXPECT_EQ(launch(scratch, {"run", spec, "--listen", "udp://x", "--out", scratch.path() + "/out"}).exit_code,
            2);
}

// One VM for two things: a run is watched over TCP from its first event to its last, and its log is all that is needed to
// repeat the crash where the scheduler no longer is.
TEST(Remote, ARunIsWatchedFromAfarAndRepeatedFromItsLogAlone) {
  Scratch scratch;
  std::string keys = scratch.path() + "/keys", bin = scratch.path() + "/bin";
  ASSERT_EQ(launch(scratch, {"keygen", "--out", keys, "--name", "ci"}).exit_code, 0);
  ASSERT_EQ(launch(scratch, {"keygen", "--out", scratch.path() + "/others", "--name", "ci"}).exit_code, 0);
  fs::create_directory(bin);
  fs::copy(KTSTR_BIN "/../schedulers/scx_demo", bin + "/scx_mine");
  std::string spec = scratch.write(
      "spec.toml", spec_text({.scheduler = bin + "/scx_mine", .args = "\"--fail-after\", \"300\""}));
  std::string where = "tcp://127.0.0.1:" + std::to_string(20'000 + getpid() % 40'000);
  Running run(scratch, launch_argv({"run", spec, "--listen", where, "--keys", keys, "--embed", "--out",
                                    scratch.path() + "/out"}));
  ASSERT_TRUE(wait_until([&] { return run.err().find("init started") != std::string::npos; }, kRunLimit))
      << run.err();
  Running watch(scratch, launch_argv({"watch", "--connect", where, "--key", keys + "/ci.key", "--json"}));
  auto refused = launch(scratch, {"watch", "--connect", where, "--key", scratch.path() + "/others/ci.key"});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_NE(refused.err.find("key"), std::string::npos) << refused.err;
  EXPECT_EQ(refused.out, "");
  auto output = run.finish();
  EXPECT_EQ(output.exit_code, 1) << output.out << output.err;
  std::string log = scratch.path() + "/out/t/events.ktlog";
  auto watched = watch.finish(kSoon);
  EXPECT_EQ(watched.exit_code, 0) << watched.err;
  EXPECT_TRUE(watched.out == launch(scratch, {"log", log, "--json"}).out) << "not what the log holds";

  fs::remove_all(bin);
  std::vector<std::string> env = {"XDG_RUNTIME_DIR=" + scratch.path()};
  auto again = launch(scratch, {"repro", log, "--out", scratch.path() + "/again"}, env);
  EXPECT_EQ(again.exit_code, 1) << again.out << again.err;
  EXPECT_NE(again.out.find("same signature"), std::string::npos) << again.out << again.err;
  EXPECT_NE(again.out.find("only the repro VM was booted"), std::string::npos) << again.out;
  std::string first_run, origin;
  size_t primary_vms = 0, repro_vms = 0, primary_events = 0, recorded_events = 0;
  for (const auto& e : read_log(log)) {
    if (auto* s = e.as<RunStarted>()) first_run = str(s->run_id());
    recorded_events += e.vm() == Vm::Primary;
  }
  for (const auto& e : read_log(scratch.path() + "/again/t/events.ktlog")) {
    if (auto* s = e.as<RunStarted>()) origin = str(s->origin());
    if (e.type() == Payload::VmStarted) ++(e.vm() == Vm::Primary ? primary_vms : repro_vms);
    primary_events += e.vm() == Vm::Primary;
  }
  EXPECT_EQ(origin, first_run);
  EXPECT_EQ(primary_vms, 1u) << "as recorded";
  EXPECT_EQ(repro_vms, 1u);
  EXPECT_EQ(primary_events, recorded_events) << "nothing was added to what was recorded";
}

struct Kill {
  const char* victim;  // of the command line
  const char* stage;   // in the progress
  const char* said;    // in the report
};

void PrintTo(const Kill& kill, std::ostream* os) { *os << kill.victim << ", " << kill.stage; }

class KillNine : public testing::TestWithParam<Kill> {};

// No announced event is lost (the test's own watcher has them all), and the report says what is missing.
TEST_P(KillNine, TheLogHoldsWhatWasToldAndItsReportSaysWhatIsMissing) {
  const Kill& kill_case = GetParam();
  Scratch scratch;
  std::vector<std::string> env = {"XDG_RUNTIME_DIR=" + scratch.path()};
  std::string spec =
      scratch.write("spec.toml", spec_text({.scheduler = "scx_demo", .args = "\"--fail-after\", \"300\""}));
  Running run(scratch, launch_argv({"run", spec, "--out", scratch.path() + "/out"}), env);
  ASSERT_TRUE(wait_until([&] { return launch(scratch, {"runs"}, env).out.find("/t") != std::string::npos; },
                         kRunLimit))
      << run.err();
  Running witness(scratch, launch_argv({"watch", "latest", "--json"}), env);
  ASSERT_TRUE(wait_until([&] { return run.err().find(kill_case.stage) != std::string::npos; }, kRunLimit))
      << run.err();
  if (std::string(kill_case.victim) == "launcher") {
    run.signal(SIGKILL);
  } else {
    auto found = processes_with(std::string("ktstr-") + kill_case.victim + " --bus " + scratch.path());
    ASSERT_EQ(found.size(), 1u);
    ::kill(std::stoi(found[0]), SIGKILL);
  }
  auto output = run.finish();
  auto heard = lines_of(witness.finish(kSoon).out);
  std::string log = scratch.path() + "/out/t/events.ktlog";
  auto logged = lines_of(launch(scratch, {"log", log, "--json"}).out);
  ASSERT_LE(heard.size(), logged.size());
  EXPECT_TRUE(std::equal(heard.begin(), heard.end(), logged.begin()));
  EXPECT_GT(heard.size(), 5u);
  auto report = launch(scratch, {"replay", log});
  EXPECT_NE(report.exit_code, 0);
  EXPECT_NE(report.out.find("--- timeline ---"), std::string::npos) << report.out;
  EXPECT_NE(report.out.find(kill_case.said), std::string::npos) << report.out;
  EXPECT_TRUE(wait_until([&] { return processes_with(scratch.path() + "/ktstr-bus").empty(); }, kSoon))
      << join(processes_with(scratch.path() + "/ktstr-bus"));
}

INSTANTIATE_TEST_SUITE_P(MidRun, KillNine,
                         testing::Values(Kill{"collector", "scheduler attached", "collector"},
                                         Kill{"reproer", "workload running", "reproer"},
                                         Kill{"launcher", "init started", "did not finish"},
                                         Kill{"launcher", "repro VM: init started", "demo: budget of"}),
                         [](const auto& kill_case) {
                           std::string name =
                               std::string(kill_case.param.victim) + "_" + kill_case.param.stage;
                           for (char& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

}  // namespace
}  // namespace ktstr::e2e
