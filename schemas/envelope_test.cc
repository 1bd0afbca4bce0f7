#include "schemas/envelope.h"

#include <gtest/gtest.h>

#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

EventBuffer sample() {
  ConsoleLineT line;
  line.text = "sched_ext: BPF scheduler \"x\" disabled";
  return make_event({.run_id = "r1", .source = "collector", .vm = Vm::Primary, .host_ns = 7, .guest_ns = 9},
                    std::move(line));
}

TEST(Envelope, RoundTripKeepsEveryField) {
  EventBuffer event = sample();
  event.stamp_seq(42);
  auto again = EventBuffer::from_bytes(event.bytes());
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->seq(), 42u);
  EXPECT_EQ(again->vm(), Vm::Primary);
  EXPECT_EQ(again->get().stamp()->guest_ns(), 9u);
  EXPECT_EQ(str(again->get().source()), "collector");
  ASSERT_NE(again->as<ConsoleLine>(), nullptr);
  EXPECT_EQ(again->as<DumpLine>(), nullptr);
  EXPECT_EQ(str(again->as<ConsoleLine>()->text()), "sched_ext: BPF scheduler \"x\" disabled");
}

TEST(Envelope, RefusesForeignTruncatedAndEmptyBytes) {
  EXPECT_FALSE(EventBuffer::from_bytes({}));
  std::vector<uint8_t> noise(64, 0x5a);
  EXPECT_FALSE(EventBuffer::from_bytes(noise));
  EventBuffer event = sample();
  for (size_t n = 0; n < event.bytes().size(); ++n) {
    // A shorter buffer may only be accepted when the cut took padding alone; reading it must be safe either way.
    auto cut = EventBuffer::from_bytes(event.bytes().first(n));
    if (cut) {
      EXPECT_EQ(str(cut->get().source()), "collector");
    }
  }
}

TEST(Envelope, AnySingleFlippedByteIsRefusedOrSafeToRead) {
  EventBuffer event = sample();
  std::vector<uint8_t> bytes(event.bytes().begin(), event.bytes().end());
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (uint8_t mask : {0x01, 0x80, 0xff}) {
      bytes[i] ^= mask;
      if (auto damaged = EventBuffer::from_bytes(bytes)) {
        EventT native;
        damaged->get().UnPackTo(&native);
      }
      bytes[i] ^= mask;
    }
  }
}

TEST(Envelope, GuestMayNotSpeakForTheHost) {
  EXPECT_TRUE(guest_may_send(Payload::SchedulerLine));
  EXPECT_FALSE(guest_may_send(Payload::Verdict));
  EXPECT_FALSE(guest_may_send(Payload::RunFinished));
  EXPECT_FALSE(guest_may_send(Payload::ConsoleLine)) << "the console has its own carrier";
}

}  // namespace
}  // namespace ktstr
