#include "launcher/runner/jobs.h"

#include <gtest/gtest.h>

namespace ktstr {
namespace {

TEST(Jobs, AnEmulatedVmTakesOneCpuWhateverItsVcpus) {
  const auto choice = choose_jobs({.emulated = true,
                                   .most_vcpus = 16,
                                   .most_memory_mb = 1024,
                                   .runs = 9,
                                   .room = {.cpus = 4, .memory_mb = 64'000}});
  EXPECT_EQ(choice.jobs, 4u);
  EXPECT_EQ(choice.why, "4 CPUs, and an emulated VM has one host thread");
}

TEST(Jobs, AKvmVmTakesACpuForEachVcpu) {
  const auto choice = choose_jobs({.emulated = false,
                                   .most_vcpus = 4,
                                   .most_memory_mb = 1024,
                                   .runs = 9,
                                   .room = {.cpus = 9, .memory_mb = 64'000}});
  EXPECT_EQ(choice.jobs, 2u);
  EXPECT_EQ(choice.why, "9 CPUs, and a VM has up to 4 vCPUs");
  EXPECT_EQ(choose_jobs({.emulated = false, .most_vcpus = 64, .runs = 9, .room = {.cpus = 2}}).jobs, 1u);
}

TEST(Jobs, MemoryIsALimitAndIsSaidToBe) {
  const auto choice = choose_jobs(
      {.emulated = true, .most_memory_mb = 2048, .runs = 9, .room = {.cpus = 16, .memory_mb = 8'000}});
  EXPECT_EQ(choice.jobs, 3u);
  EXPECT_EQ(choice.why, "8000 MB of memory are free, a VM takes up to 2398");
}

TEST(Jobs, NoMoreThanThereAreTests) {
  EXPECT_EQ(choose_jobs({.runs = 1, .room = {.cpus = 8}}).why, "there is one test to run");
  EXPECT_EQ(choose_jobs({.runs = 3, .room = {.cpus = 8}}).jobs, 3u);
}

TEST(Jobs, ThisHostHasRoom) {
  const HostRoom room = host_room();
  EXPECT_GE(room.cpus, 1u);
  EXPECT_GT(room.memory_mb, 0u);
}

TEST(Jobs, ParsesANumberOrAuto) {
  EXPECT_EQ(*parse_jobs("auto"), 0u);
  EXPECT_EQ(*parse_jobs("12"), 12u);
  for (const char* bad : {"", "0", "-1", "two", "2x", "9999"}) EXPECT_FALSE(parse_jobs(bad)) << bad;
}

}  // namespace
}  // namespace ktstr
