// The order in which a deterministic run is folded.
#include "reporter/guest_order.h"

#include <gtest/gtest.h>

#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

EventBuffer line(const std::string& source, const std::string& text, uint64_t guest_ns) {
  SchedulerLineT fact;
  fact.text = text;
  return make_event({.run_id = "r", .source = source, .vm = Vm::Primary, .host_ns = 5, .guest_ns = guest_ns},
                    std::move(fact));
}

std::string order(std::vector<EventBuffer> events) {
  GuestOrder guest;
  for (const EventBuffer& event : events) EXPECT_TRUE(guest.hold(event));
  std::string out;
  for (const EventBuffer& event : guest.take()) out += str(event.as<SchedulerLine>()->text());
  return out;
}

template <typename... E>
std::vector<EventBuffer> list(E... events) {
  std::vector<EventBuffer> out;
  (out.push_back(std::move(events)), ...);
  return out;
}

TEST(GuestOrder, IsThatOfTheGuestsClockHoweverTheLogInterleavesTheSources) {
  EXPECT_EQ(order(list(line("guest", "a", 10), line("guest", "c", 30), line("monitor", "b", 20))), "abc");
  EXPECT_EQ(order(list(line("monitor", "b", 20), line("guest", "a", 10), line("guest", "c", 30))), "abc");
}

TEST(GuestOrder, OfOneSourceStaysThatOfTheLog) {
  EXPECT_EQ(order(list(line("guest", "a", 30), line("guest", "b", 10), line("guest", "c", 0))), "abc");
}

TEST(GuestOrder, HostStampsBecomeGuestTimeAndTheVmLastsAsLongAsItsGuest) {
  GuestOrder guest;
  guest.hold(line("guest", "a", 40));
  VmExitedT fact;
  fact.duration_ns = 123'456'789;
  guest.hold(
      make_event({.run_id = "r", .source = "launcher", .vm = Vm::Primary, .host_ns = 9}, std::move(fact)));
  auto events = guest.take();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]->stamp()->host_ns(), 40u);
  ASSERT_EQ(events[1].type(), Payload::VmExited);
  EXPECT_EQ(events[1].as<VmExited>()->duration_ns(), 40u);
}

TEST(GuestOrder, EventsOfTheHostAndTheEndOfAVmAreNotHeld) {
  GuestOrder guest;
  EXPECT_FALSE(guest.hold(make_event({.run_id = "r", .source = "launcher"}, FactsCompletedT{})));
  EXPECT_FALSE(
      guest.hold(make_event({.run_id = "r", .source = "launcher", .vm = Vm::Primary}, VmSettledT{})));
}

}  // namespace
}  // namespace ktstr
