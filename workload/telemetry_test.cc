// What a worker's telemetry is made of, and who hands over to whom.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "workload/latency_histogram.h"
#include "workload/worker.h"

namespace ktstr {
namespace {

TEST(LatencyHistogram, AgainstASortedList) {
  std::mt19937_64 random(5);
  LatencyHistogram histogram;
  std::vector<uint64_t> all;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t ns = random() >> (random() % 60 + 3);
    histogram.add(ns);
    all.push_back(ns);
  }
  std::sort(all.begin(), all.end());
  for (unsigned percent : {1u, 50u, 90u, 99u, 100u}) {
    const uint64_t exact = all[(all.size() * percent + 99) / 100 - 1];
    EXPECT_GE(histogram.percentile(percent), exact) << percent;
    EXPECT_LE(static_cast<double>(histogram.percentile(percent)), static_cast<double>(exact) * 1.126 + 1)
        << percent;
  }
  EXPECT_EQ(histogram.max(), all.back());
  EXPECT_EQ(histogram.count(), all.size());
}

TEST(LatencyHistogram, Extremes) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.percentile(99), 0u);
  histogram.add(0);
  EXPECT_EQ(histogram.percentile(50), 0u);
  histogram.add(UINT64_MAX);
  EXPECT_EQ(histogram.percentile(100), UINT64_MAX);
}

TEST(RingPlace, EveryRingHasOneTokenAndEveryWorkerOnePredecessor) {
  for (size_t count = 1; count <= 33; ++count) {
    std::set<size_t> heirs;
    std::set<size_t> left;
    for (size_t i = 0; i < count; ++i) {
      heirs.insert(ring_place(i, count).next);
      left.insert(i);
    }
    EXPECT_EQ(heirs.size(), count);
    while (!left.empty()) {
      int tokens = 0;
      size_t size = 0;
      for (size_t i = *left.begin(); left.erase(i) != 0; i = ring_place(i, count).next) {
        tokens += ring_place(i, count).has_token;
        ++size;
      }
      EXPECT_EQ(tokens, 1) << count;
      EXPECT_LE(size, 3u) << count;
    }
  }
}

}  // namespace
}  // namespace ktstr
