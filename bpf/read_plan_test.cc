#include "bpf/read_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>

#include "bpf/testing/probe_values.h"

namespace ktstr::probe {
namespace {

struct Target {
  ProbeTargetT plan;
  Target& value(uint8_t arg, std::vector<uint32_t> offsets, uint16_t size,
                ValueFormat format = ValueFormat::Unsigned) {
    add_value(&plan, arg, std::move(offsets), size, format);
    return *this;
  }
};

TEST(ReadPlan, NeighboursBehindOnePointerAreReadAtOnce) {
  Target t;
  t.value(0, {}, 8).value(0, {700}, 8).value(0, {2400}, 4).value(0, {716}, 4).value(0, {704}, 4);
  const ReadPlan plan = plan_reads(t.plan);
  ASSERT_EQ(plan.reads.size(), 2u);
  EXPECT_EQ(plan.reads[0].offsets[0], 700u);
  EXPECT_EQ(plan.reads[0].size, 20);
  EXPECT_EQ(plan.places[0].read, -1);
  EXPECT_EQ(plan.places[3].read, 0);
  EXPECT_EQ(plan.places[3].at, 16);
  EXPECT_EQ(plan.places[4].at, 4);
  EXPECT_EQ(plan.places[2].read, 1);
  EXPECT_EQ(plan.places[2].at, 20);
}

TEST(ReadPlan, OtherPointersOtherArgumentsAndStringsAreReadApart) {
  Target t;
  t.value(0, {8, 0}, 8)
      .value(0, {16, 0}, 8)
      .value(1, {16, 0}, 8)
      .value(0, {8}, 8)
      .value(0, {}, 8, ValueFormat::CString);
  EXPECT_EQ(plan_reads(t.plan).reads.size(), 5u);
}

TEST(ReadPlan, WhatLiesFarApartIsReadApart) {
  Target t;
  t.value(0, {0}, 8).value(0, {104}, 8).value(0, {209}, 8);
  const ReadPlan plan = plan_reads(t.plan);
  ASSERT_EQ(plan.reads.size(), 2u);  // 96 bytes between the first two, 97 to the third
  EXPECT_EQ(plan.reads[0].size, 112);
}

TEST(ReadPlan, GapsGiveWayWhenTheHitHasNoRoomForThem) {
  Target t;
  for (uint32_t i = 0; i < 30; ++i) t.value(0, {i * 100}, 16);
  const ReadPlan plan = plan_reads(t.plan);
  EXPECT_EQ(plan.places.size(), 30u);
  EXPECT_EQ(plan.reads.size(), 30u);
  for (const ktstr_read& r : plan.reads) EXPECT_LT(r.at, KTSTR_DATA_BYTES);
}

// The probe masks `at` and clamps `size`: whatever a plan says, a value lies where the decoder looks for it.
TEST(ReadPlan, EveryPlaceLiesInsideItsReadAndInsideTheHit) {
  uint32_t state = 7;
  auto random = [&](uint32_t below) { return (state = state * 1664525u + 1013904223u) / 65536 % below; };
  for (int round = 0; round < 2000; ++round) {
    Target t;
    const uint32_t count = random(36);
    for (uint32_t i = 0; i < count; ++i) {
      std::vector<uint32_t> offsets(random(4));
      for (uint32_t& o : offsets) o = random(2) ? random(400) : 0xfffffff0u + random(16);
      t.value(static_cast<uint8_t>(random(8) ? random(3) : 255), offsets, static_cast<uint16_t>(random(70)),
              random(9) ? ValueFormat::Hex : ValueFormat::CString);
    }
    const ReadPlan plan = plan_reads(t.plan);
    ASSERT_LE(plan.reads.size(), size_t{KTSTR_MAX_VALUES});
    for (size_t i = 0; i < plan.places.size(); ++i) {
      const ReadPlan::Place& place = plan.places[i];
      if (place.read < 0) {
        ASSERT_LE(place.at, KTSTR_RETURN);
        continue;
      }
      const ktstr_read& r = plan.reads.at(static_cast<size_t>(place.read));
      const ValueSpecT& v = *t.plan.values[i];
      ASSERT_LT(r.at, KTSTR_DATA_BYTES);
      ASSERT_LE(r.size, KTSTR_READ_BYTES);
      ASSERT_GE(place.at, r.at);
      ASSERT_LE(place.at + place.bytes, r.at + r.size);
      if (v.offsets.empty()) continue;
      ASSERT_EQ(r.hops, v.offsets.size());
      ASSERT_EQ(v.offsets.back(), r.offsets[r.hops - 1] + (place.at - r.at));
    }
  }
}

}  // namespace
}  // namespace ktstr::probe
