#include "reporter/trace/trace_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/child.h"
#include "base/json.h"
#include "base/testing/temp_dir.h"
#include "reporter/testing/synthetic_run.h"
#include "schemas/client_generated.h"
#include "schemas/probe_generated.h"
#include "schemas/repro_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;

std::string trace_of(const std::vector<SyntheticRun*>& runs) {
  std::string out;
  TraceWriter writer([&](std::string_view text) {
    out += text;
    return Status();
  });
  for (SyntheticRun* run : runs) {
    RunModel model;
    writer.begin_log();
    for (const EventBuffer& event : run->events()) {
      writer.fold(event);
      if (model.fold(event)) break;
    }
    model.finish();
    writer.end_log(model);
  }
  EXPECT_TRUE(writer.finish().ok());
  return out;
}

// By the checker that was written from the format's document; and by jq.
std::string checked(const std::string& trace) {
  TempDirForTest dir;
  const std::string file = dir.write("trace.json", trace);
  auto run =
      run_captured({.argv = {"python3", KTSTR_CHECK_TRACE, file}}, std::chrono::milliseconds(120'000), true);
  auto jq = run_captured({.argv = {"jq", "-e", ".traceEvents | length > 0", file}},
                         std::chrono::milliseconds(120'000), true);
  EXPECT_TRUE(jq && jq->exit.exit_code == 0) << (jq ? jq->out : jq.error().message());
  return run ? run->exit.to_string() + ": " + run->out : run.error().message();
}

std::vector<Json> events(const std::string& trace, const std::string& phase, const std::string& category) {
  std::vector<Json> out;
  const Json whole = parse_json(trace);
  for (const Json& event : whole["traceEvents"])
    if (event["ph"] == phase && event.value("cat", "") == category) out.push_back(event);
  return out;
}

ProbeHitT hit(uint32_t target, HitWhen when, uint64_t ns, int pid = 7) {
  ProbeHitT out;
  out.target = target;
  out.when = when;
  out.ns = ns;
  out.pid = pid;
  out.comm = "\"</task>\xff\x1b[2J";
  auto value = std::make_unique<ProbeValueT>();
  value->data = {0x39, 0x30, 0, 0};
  out.values.push_back(std::move(value));
  return out;
}

// enqueue_task calls demo_enqueue; the probe of demo_note sees no returns.
void add_repro(SyntheticRun& run) {
  ReproRequestedT requested;
  requested.plan = std::make_unique<ProbePlanT>();
  for (const char* function : {"enqueue_task", "demo_enqueue", "demo_note"}) {
    auto target = std::make_unique<ProbeTargetT>();
    target->id = static_cast<uint32_t>(requested.plan->targets.size());
    target->function = function;
    target->want_return = target->id < 2;
    target->values.push_back(std::make_unique<ValueSpecT>());
    target->values.back()->name = "p->pid";
    requested.plan->targets.push_back(std::move(target));
  }
  run.add(std::move(requested), Vm::Host);
  for (const auto& [target, when, ns] : std::vector<std::tuple<uint32_t, HitWhen, uint64_t>>{
           {0, HitWhen::Entry, 1'000},
           {1, HitWhen::Entry, 1'100},
           {2, HitWhen::Entry, 1'200},
           {1, HitWhen::Exit, 1'900},
           {0, HitWhen::Exit, 2'000},   // whole calls
           {1, HitWhen::Exit, 2'500},   // a return without a call
           {1, HitWhen::Entry, 3'000},  // its return was not kept: the next call ends it
           {1, HitWhen::Entry, 4'000}})
    run.add(hit(target, when, ns), Vm::Repro, 1);
  ProbeTriggeredT triggered;
  triggered.ns = 5'000;
  triggered.pid = 7;
  triggered.kind = 1025;
  run.add(std::move(triggered), Vm::Repro, 1);
}

TEST(Trace, ACrashWithProbeHitsIsAValidTrace) {
  SyntheticRun run = SyntheticRun::demo_crash();
  add_repro(run);
  run.add(FactsCompletedT{}, Vm::Host);
  const std::string trace = trace_of({&run});
  const std::string verdict = checked(trace);
  EXPECT_THAT(verdict, HasSubstr("exit code 0: "));
  EXPECT_THAT(verdict, HasSubstr("nr_running CPU 0"));
  EXPECT_THAT(verdict, HasSubstr("\"phase\": "));
  EXPECT_EQ(2u, events(trace, "i", "crash").size());  // of the run, and of the repro VM
  EXPECT_EQ("g", events(trace, "i", "crash")[0]["s"]);
}

TEST(Trace, NumbersOfACollectorAreCounters) {
  SyntheticRun run = SyntheticRun::demo_crash();
  MetricsDeclaredT declared;
  declared.name = "vmstat";
  run.add(std::move(declared), Vm::Host);
  for (const char* text : {"us=1.5", "us=1.5", "us=\"2\" sy=\x1b"}) {
    CollectorLineT line;
    line.name = "vmstat";
    line.text = text;
    run.add(std::move(line), Vm::Host);
  }
  run.add(FactsCompletedT{}, Vm::Host);
  const std::string trace = trace_of({&run});
  EXPECT_THAT(checked(trace), HasSubstr("exit code 0: "));
  std::vector<double> values;
  for (const Json& event : events(trace, "C", ""))
    if (event["name"] == "vmstat us") values.push_back(event["args"]["value"].get<double>());
  EXPECT_EQ(values, std::vector<double>{1.5}) << "where it changes";
}

TEST(Trace, ACallIsASliceWithItsValuesAtEntryAndExit) {
  SyntheticRun run = SyntheticRun::demo_crash();
  add_repro(run);
  const auto calls = events(trace_of({&run}), "X", "probe");
  std::map<std::string, std::vector<Json>> by_name;
  for (const Json& call : calls) by_name[call["name"]].push_back(call);
  ASSERT_EQ(1u, by_name["enqueue_task"].size());
  EXPECT_EQ(1.0, by_name["enqueue_task"][0]["ts"]);
  EXPECT_EQ(1.0, by_name["enqueue_task"][0]["dur"]);
  EXPECT_EQ("12345", by_name["enqueue_task"][0]["args"]["entry"]["p->pid"]);
  EXPECT_EQ("12345", by_name["enqueue_task"][0]["args"]["exit"]["p->pid"]);
  ASSERT_EQ(3u, by_name["demo_enqueue"].size());
  EXPECT_EQ(0.8, by_name["demo_enqueue"][0]["dur"]);
  EXPECT_EQ(1.0, by_name["demo_enqueue"][1]["dur"]);  // until the next call of it
  EXPECT_EQ(1.0, by_name["demo_enqueue"][2]["dur"]);  // until the exit
  EXPECT_TRUE(by_name["demo_enqueue"][2]["args"]["exit"].is_null());
  ASSERT_EQ(1u, by_name["demo_note"].size());
  EXPECT_EQ(0, by_name["demo_note"][0]["dur"]);
}

TEST(Trace, SeveralLogsHaveTracksOfTheirOwn) {
  SyntheticRun one = SyntheticRun::good(), two = SyntheticRun::demo_crash();
  const std::string trace = trace_of({&one, &two});
  EXPECT_THAT(checked(trace), HasSubstr("exit code 0: "));
  std::set<int> processes;
  const Json whole = parse_json(trace);
  for (const Json& event : whole["traceEvents"]) processes.insert(event["pid"].get<int>());
  EXPECT_TRUE(processes.contains(13) && processes.contains(23));
}

TEST(Trace, TheCheckerRefusesWhatTheFormatDoesNotHave) {
  const auto with = [](const std::string& event) {
    return checked(
        "{\"traceEvents\":[{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"args\":{\"name\":\"p\"}}," +
        event + "]}");
  };
  EXPECT_THAT(with(R"({"ph":"X","name":"a","pid":1,"tid":1,"ts":1,"dur":2})"), HasSubstr("exit code 0: "));
  EXPECT_THAT(with(R"({"ph":"X","name":"a","pid":1,"tid":1,"ts":1})"), HasSubstr("X without dur"));
  EXPECT_THAT(with(R"({"ph":"C","name":"a","pid":1,"ts":1,"args":{"v":"3"}})"), HasSubstr("no number"));
  EXPECT_THAT(
      with(
          R"({"ph":"X","name":"a","pid":1,"tid":1,"ts":0,"dur":2},{"ph":"X","name":"b","pid":1,"tid":1,"ts":1,"dur":2})"),
      HasSubstr("overlap"));
  EXPECT_THAT(with(R"({"ph":"i","name":"a","pid":2,"tid":1,"ts":1})"), HasSubstr("has no name"));
}

TEST(Trace, ASinkThatFailsIsTold) {
  TraceWriter writer([](std::string_view) { return Status(Error::exhausted("disk full")); });
  writer.begin_log();
  RunModel model;
  writer.end_log(model);
  const Status end = writer.finish();
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().message(), HasSubstr("disk full"));
}

}  // namespace
}  // namespace ktstr::testing
