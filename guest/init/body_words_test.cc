#include "guest/init/body_words.h"

#include <gtest/gtest.h>

#include "schemas/common_generated.h"

namespace ktstr::guest {
namespace {

TEST(BodyWords, AWorkerBecomesAReport) {
  auto r = parse_body_worker(
      R"({"worker": {"cgroup": "a", "index": 3, "pid": 7, "work": "PipeIo", "iterations": 9, "cpus": [0, 5], "outside_cpus": [5],)"
      R"( "wall_ns": 100, "run_ns": 60, "gap_cpu": -1, "wake_p99_ns": 11, "cpuset": "0", "exit_code": 134, "killed": true}})");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->cgroup, "a");
  EXPECT_EQ(r->index, 3u);
  EXPECT_EQ(r->work, WorkType::PipeIo);
  EXPECT_EQ(r->cpus, (std::vector<uint16_t>{0, 5}));
  EXPECT_EQ(r->outside_cpus, std::vector<uint16_t>{5});
  EXPECT_EQ(r->run_ns, 60u);
  EXPECT_EQ(r->gap_cpu, -1);
  EXPECT_EQ(r->wake_p99_ns, 11u);
  EXPECT_EQ(r->exit_code, 134);
  EXPECT_TRUE(r->killed);
}

TEST(BodyWords, WrongTypesAndSizesDoNoHarm) {
  auto r = parse_body_worker(
      R"({"worker": {"cgroup": "a", "iterations": "many", "cpus": [-1, 70000, "x", 2], "pid": -4, "work": 9, "killed": "no"}})");
  ASSERT_TRUE(r);
  EXPECT_FALSE(r->killed);
  EXPECT_EQ(r->iterations, 0u);
  EXPECT_EQ(r->cpus, std::vector<uint16_t>{2});
  EXPECT_EQ(r->work, WorkType::Custom);
  auto named = parse_body_worker(R"({"worker": {"cgroup": ")" + std::string(5000, 'x') + R"("}})");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->cgroup.size(), 100u);
  for (const char* no : {R"({"worker": 7})", R"({"worker": {}})", R"({"worker")",
                         R"({"worker": {"cgroup": 1}})", R"({"name": "x"})", ""})
    EXPECT_FALSE(parse_body_worker(no)) << no;
}

TEST(BodyWords, APhaseHasAName) {
  EXPECT_EQ(parse_body_phase(R"({"phase": "squeeze"})"), "squeeze");
  for (const char* no :
       {R"({"phase": ""})", R"({"phase": 3})", R"({"phase")", R"({"name": "x", "phase": "y"})"})
    EXPECT_FALSE(parse_body_phase(no)) << no;
}

}  // namespace
}  // namespace ktstr::guest
