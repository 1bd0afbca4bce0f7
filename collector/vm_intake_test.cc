// A guest that sends wrong, incomplete or no data; and GuestGate, which checks it.
#include "collector/vm_intake.h"

#include <gtest/gtest.h>

#include <random>

#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr {
namespace {

class VmIntakeTest : public testing::Test {
 protected:
  VmIntakeTest()
      : intake_({.vm = Vm::Repro,
                 .attempt = 2,
                 .head = [] { return EventHead{.run_id = "run", .source = "collector", .host_ns = 1234}; },
                 .publish = [this](EventBuffer event) { events_.push_back(std::move(event)); }}) {}

  template <typename T>
  void from_guest(T fact, EventHead head = {.run_id = "run", .source = "guest", .guest_ns = 55}) {
    std::vector<uint8_t> frame;
    append_frame(make_event(head, std::move(fact)).bytes(), frame);
    intake_.on_channel(frame);
  }
  void end() {
    intake_.end_console();
    intake_.end_channel();
    ASSERT_TRUE(intake_.ended());
    intake_.finish();
  }
  template <typename T>
  const T* last() {
    for (auto it = events_.rbegin(); it != events_.rend(); ++it)
      if (auto* fact = it->as<T>()) return fact;
    return nullptr;
  }
  std::vector<EventBuffer> events_;
  VmIntake intake_;
};

TEST_F(VmIntakeTest, ConsoleBecomesLinesWithTheGuestsTime) {
  intake_.on_console("[    1.500000] Linux ver");
  intake_.on_console("sion\r\npartial");
  end();
  ASSERT_EQ(events_.size(), 4u);
  EXPECT_EQ(events_[0].as<StageReached>()->stage(), Stage::KernelStarted);
  EXPECT_EQ(str(events_[1].as<ConsoleLine>()->text()), "[    1.500000] Linux version");
  EXPECT_EQ(events_[1]->stamp()->guest_ns(), 1'500'000'000u);
  EXPECT_EQ(events_[1].vm(), Vm::Repro);
  EXPECT_EQ(events_[1]->stamp()->attempt(), 2);
  EXPECT_EQ(str(events_[2].as<ConsoleLine>()->text()), "partial");
  EXPECT_EQ(events_[3].as<CollectorDrained>()->console_lines(), 2u);
}

TEST_F(VmIntakeTest, TheHostSaysWhoSpokeAndWhen) {
  StageReachedT stage;
  stage.stage = Stage::PlanRead;
  from_guest(
      stage,
      {.run_id = "other", .source = "launcher", .vm = Vm::Host, .attempt = 9, .host_ns = 1, .guest_ns = 55});
  ASSERT_EQ(events_.size(), 1u);
  const Event& event = events_[0].get();
  EXPECT_EQ(event.stamp()->vm(), Vm::Repro);
  EXPECT_EQ(event.stamp()->attempt(), 2);
  EXPECT_EQ(event.stamp()->host_ns(), 1234u);
  EXPECT_EQ(event.stamp()->guest_ns(), 55u);
  EXPECT_EQ(str(event.run_id()), "run");
  EXPECT_EQ(str(event.source()), "guest");
  EXPECT_EQ(events_[0].as<StageReached>()->stage(), Stage::PlanRead);
}

TEST_F(VmIntakeTest, AGuestMayNotSpeakForTheHost) {
  from_guest(RunFinishedT{});
  VerdictT verdict;
  verdict.summary = "all is well";
  from_guest(std::move(verdict));
  CrashDetectedT crash;
  from_guest(std::move(crash));
  EXPECT_TRUE(events_.empty());
  end();
  EXPECT_EQ(last<CollectorDrained>()->refused_events(), 3u);
  EXPECT_NE(str(last<CollectorDrained>()->note()).find("RunFinished"), std::string_view::npos);
}

TEST_F(VmIntakeTest, GarbageInAWellFormedFrameIsRefused) {
  std::mt19937 random(3);
  std::vector<uint8_t> stream;
  for (int i = 0; i < 200; ++i) {
    std::vector<uint8_t> noise(random() % 300);
    for (auto& byte : noise) byte = static_cast<uint8_t>(random());
    append_frame(noise, stream);
  }
  intake_.on_channel(stream);
  EXPECT_TRUE(events_.empty());
  end();
  EXPECT_EQ(last<CollectorDrained>()->refused_events(), 200u);
}

TEST_F(VmIntakeTest, DamagedEventsInsideAFrameNeverPassTheVerifier) {
  WorkerReportT report;
  report.cgroup = "cg_0";
  report.cpus = {0, 1, 2};
  const auto good = make_event({.run_id = "run", .source = "guest"}, std::move(report));
  std::mt19937 random(4);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint8_t> bytes(good.bytes().begin(), good.bytes().end());
    for (int n = 0; n < 3; ++n) bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    std::vector<uint8_t> frame;
    append_frame(bytes, frame);
    intake_.on_channel(frame);  // refused, or safe to read to the last field
  }
  for (const EventBuffer& event : events_) {
    if (auto* r = event.as<WorkerReport>()) {
      WorkerReportT copy;
      r->UnPackTo(&copy);
    }
  }
  end();
}

TEST_F(VmIntakeTest, TornLastFrameIsTold) {
  std::vector<uint8_t> frame;
  append_frame(make_event({.run_id = "run", .source = "guest"}, StageReachedT{}).bytes(), frame);
  frame.resize(frame.size() / 2);
  intake_.on_channel(frame);
  end();
  EXPECT_EQ(last<CollectorDrained>()->bad_frames(), 1u);
  EXPECT_FALSE(str(last<CollectorDrained>()->note()).empty());
}

TEST_F(VmIntakeTest, LongLinesFromTheChannelAreCut) {
  SchedulerLineT line;
  line.text.assign(100'000, 'x');
  line.stream = OutputStream::Stderr;
  from_guest(std::move(line));
  ASSERT_EQ(events_.size(), 1u);
  EXPECT_EQ(events_[0].as<SchedulerLine>()->text()->size(), 4096u);
  EXPECT_TRUE(events_[0].as<SchedulerLine>()->truncated());
  EXPECT_EQ(events_[0].as<SchedulerLine>()->stream(), OutputStream::Stderr);
}

TEST(VmIntake, EmptyConsoleLinesCountTowardsTheLimit) {
  size_t lines = 0, log_bytes = 0;
  std::string note;
  VmIntake intake({.head = [] { return EventHead{.run_id = "run", .source = "collector"}; },
                   .publish =
                       [&](EventBuffer event) {
                         if (event.as<ConsoleLine>()) ++lines, log_bytes += event.bytes().size();
                         if (auto* drained = event.as<CollectorDrained>()) note = str(drained->note());
                       },
                   .max_console_bytes = 100'000});
  intake.on_console(std::string(20'000, '\n'));
  intake.end_console();
  intake.end_channel();
  intake.finish();
  EXPECT_GT(lines, 100u);
  EXPECT_LE(log_bytes, 100'000u);
  EXPECT_NE(note.find("were dropped"), std::string::npos) << note;
}

TEST_F(VmIntakeTest, CrashComesBeforeTheAccount) {
  intake_.set_accelerator("tcg");
  intake_.on_console("[    4.100000] sched_ext: BPF scheduler \"demo\" disabled (runtime error)\n");
  EXPECT_FALSE(intake_.guest_finished());
  from_guest(GuestFinishedT{});
  EXPECT_TRUE(intake_.guest_finished());
  end();
  ASSERT_GE(events_.size(), 2u);
  EXPECT_EQ(events_[events_.size() - 2].type(), Payload::CrashDetected);
  EXPECT_EQ(events_.back().type(), Payload::CollectorDrained);
}

TEST(GuestGate, AVmThatSaysTooMuchIsCutOff) {
  const auto event = make_event({.run_id = "run", .source = "guest"}, StageReachedT{});
  GuestGate gate({.run_id = "run", .max_bytes = event.bytes().size() * 3});
  int passed = 0;
  for (int i = 0; i < 10; ++i) passed += gate.admit(event.bytes(), 1).ok();
  EXPECT_EQ(passed, 3);
  EXPECT_EQ(gate.refused(), 7u);
  EXPECT_NE(gate.first_refusal().find("more than"), std::string::npos);
}

}  // namespace
}  // namespace ktstr
