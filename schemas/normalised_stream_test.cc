// What counts in the normalised stream, and what does not.
#include "schemas/normalised_stream.h"

#include <gtest/gtest.h>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

EventBuffer line(const std::string& source, const std::string& text, uint64_t guest_ns = 1) {
  ConsoleLineT fact;
  fact.text = text;
  return make_event({.run_id = "r", .source = source, .vm = Vm::Primary, .guest_ns = guest_ns},
                    std::move(fact));
}

std::string hash(const std::vector<EventBuffer>& events) {
  NormalisedStream stream;
  for (const EventBuffer& event : events) stream.add(event);
  return stream.hex();
}

std::vector<EventBuffer> two(EventBuffer a, EventBuffer b) {
  std::vector<EventBuffer> out;
  out.push_back(std::move(a));
  out.push_back(std::move(b));
  return out;
}

TEST(NormalisedStream, SequenceNumbersHostStampsAndRunIdDoNotCount) {
  EventBuffer a = line("collector", "x");
  EventBuffer b =
      make_event({.run_id = "another", .source = "collector", .vm = Vm::Primary, .guest_ns = 1}, [] {
        ConsoleLineT fact;
        fact.text = "x";
        return fact;
      }());
  b.stamp_seq(77);
  b.stamp_host_ns(123456);
  NormalisedStream one, other;
  one.add(a);
  other.add(b);
  EXPECT_EQ(one.hex(), other.hex());
}

TEST(NormalisedStream, HowTwoSourcesInterleaveDoesNotCountButTheOrderWithinOneDoes) {
  EXPECT_EQ(hash(two(line("guest", "a"), line("monitor", "b"))),
            hash(two(line("monitor", "b"), line("guest", "a"))));
  EXPECT_NE(hash(two(line("guest", "a"), line("guest", "b"))),
            hash(two(line("guest", "b"), line("guest", "a"))));
}

TEST(NormalisedStream, TextGuestTimeSourceAndVmCount) {
  const std::string base = hash(two(line("guest", "a"), line("guest", "b")));
  EXPECT_NE(base, hash(two(line("guest", "a"), line("guest", "c"))));
  EXPECT_NE(base, hash(two(line("guest", "a"), line("guest", "b", 2))));
  EXPECT_NE(base, hash(two(line("guest", "a"), line("monitor", "b"))));
}

TEST(NormalisedStream, WhatTheHostAddsIsNotInIt) {
  EXPECT_FALSE(
      is_in_stream(make_event({.run_id = "r", .source = "launcher", .vm = Vm::Primary}, VmExitedT{})));
  EXPECT_FALSE(is_in_stream(line("vmstat", "a client's line")));
  EXPECT_TRUE(is_in_stream(line("guest", "a")));
}

}  // namespace
}  // namespace ktstr
