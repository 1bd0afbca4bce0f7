#include "launcher/runner/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace ktstr {
namespace {

std::vector<std::string> names(size_t n) {
  std::vector<std::string> out;
  for (size_t i = 0; i < n; ++i) out.push_back("test_" + std::to_string(i) + "[llcs=2]");
  return out;
}

TEST(Partition, ThePartsTogetherAreAllTestsEachOnce) {
  for (const char* by : {"count", "hash"}) {
    std::multiset<size_t> seen;
    for (int part = 1; part <= 3; ++part) {
      auto partition = parse_partition(std::string(by) + ":" + std::to_string(part) + "/3");
      ASSERT_TRUE(partition);
      for (size_t i : select_partition(names(50), *partition)) seen.insert(i);
    }
    EXPECT_EQ(seen.size(), 50u) << by;
    EXPECT_EQ(std::set<size_t>(seen.begin(), seen.end()).size(), 50u) << by;
  }
}

TEST(Partition, CountGivesPartsOfEqualSize) {
  for (uint32_t part = 1; part <= 4; ++part) {
    const size_t size = select_partition(names(10), {.part = part, .parts = 4}).size();
    EXPECT_TRUE(size == 2 || size == 3) << size;
  }
}

TEST(Partition, ATestStaysInItsHashPartWhenOthersAreAdded) {
  const Partition partition{.by = Partition::By::kHash, .part = 2, .parts = 3};
  const std::vector<std::string> all = names(60);
  std::vector<std::string> some;
  for (size_t i = 0; i < all.size(); i += 2) some.push_back(all[i]);
  std::set<std::string> of_all, of_some;
  for (size_t i : select_partition(all, partition)) of_all.insert(all[i]);
  for (size_t i : select_partition(some, partition)) of_some.insert(some[i]);
  EXPECT_FALSE(of_some.empty());
  EXPECT_TRUE(std::includes(of_all.begin(), of_all.end(), of_some.begin(), of_some.end()));
  for (const std::string& name : some) EXPECT_EQ(of_all.contains(name), of_some.contains(name)) << name;
}

// A node of another machine must come to the same parts. The values are of a program of another language.
TEST(Partition, HashIsTheSameOnEveryMachine) {
  const std::vector<std::string> names = {"enqueue_crash", "pipes_on_two_llcs", "spin[llcs=2]", "idle",
                                          "stall"};
  const uint32_t part_of[] = {3, 1, 3, 2, 3};
  for (uint32_t part = 1; part <= 3; ++part)
    for (size_t i : select_partition(names, {.by = Partition::By::kHash, .part = part, .parts = 3}))
      EXPECT_EQ(part_of[i], part) << names[i];
}

TEST(Shuffle, ASeedGivesOneOrder) {
  std::vector<size_t> order = {0, 1, 2, 3, 4, 5};
  shuffle(order, 42);
  std::vector<size_t> again = {0, 1, 2, 3, 4, 5};
  shuffle(again, 42);
  EXPECT_EQ(order, again);
  shuffle(again, 43);
  EXPECT_NE(order, again);
}

TEST(Partition, WhatIsNoPartitionIsRefusedWithTheForm) {
  for (const char* bad : {"", "count", "count:1", "count:0/2", "count:3/2", "slice:1/2", "hash:1/0",
                          "count:x/2", "count:1/2x", "count:-1/2", "count:1/99999999999"}) {
    auto parsed = parse_partition(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_NE(parsed.error().to_string().find("count:K/N"), std::string::npos) << bad;
  }
}

}  // namespace
}  // namespace ktstr
