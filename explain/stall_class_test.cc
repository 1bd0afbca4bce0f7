#include "explain/stall_class.h"

#include <gtest/gtest.h>

#include "base/cpu_list.h"

namespace ktstr {
namespace {

StallFacts waiting(WaitIn where, std::vector<unsigned> allowed, std::vector<CpuFact> cpus) {
  StallFacts f;
  f.comm = "x";
  f.pid = 9;
  f.waited_ns = 5'000'000'000;
  f.any_dump = f.dumped = true;
  f.where = where;
  f.dsq = 0x100;
  f.rq_cpu = 1;
  f.allowed = std::move(allowed);
  f.cpus = std::move(cpus);
  return f;
}
const CpuFact kIdle0{0, CpuDoes::kIdle, "swapper/0[0]", 0}, kIdle1{1, CpuDoes::kIdle, "swapper/1[0]", 0};
const CpuFact kExt0{0, CpuDoes::kExt, "a[2]", 2}, kExt1{1, CpuDoes::kExt, "b[3]", 3},
    kRt1{1, CpuDoes::kRealTime, "rt[4]", 4};

TEST(StallClass, IsNamedByWhatTheAllowedCpusDo) {
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kUserDsq, {0, 1}, {kIdle0, kExt1})).what),
            "dsq-not-consumed");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kUserDsq, {1}, {kIdle0, kExt1})).what),
            "dsq-not-served");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kUserDsq, {1}, {kIdle1, kExt0})).what),
            "dsq-not-consumed");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kUserDsq, {0, 1}, {kExt0, kExt1})).what),
            "dsq-busy");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kLocalDsq, {0, 1}, {kExt0, kIdle1})).what),
            "local-no-kick");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kLocalDsq, {0, 1}, {kIdle0, kExt1})).what),
            "local-dsq");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kLocalDsq, {1}, {kIdle0, kRt1})).what),
            "cpu-taken");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kScheduler, {0, 1}, {kIdle0, kRt1})).what),
            "held-by-scheduler");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kScheduler, {0, 1}, {kExt0, kRt1})).what),
            "cpu-taken");
  EXPECT_EQ(stall_class_name(classify_stall(waiting(WaitIn::kBypassDsq, {0, 1}, {kExt0, kExt1})).what),
            "bypass");
}

TEST(StallClass, WithoutFactsNothingIsClaimed) {
  StallFacts f;
  f.comm = "x";
  f.pid = 9;
  f.waited_ns = 5'000'000'000;
  const StallVerdict verdict = classify_stall(f);
  EXPECT_EQ(verdict.what, StallClass::kUnknown);
  EXPECT_FALSE(verdict.lacks.empty());
  EXPECT_TRUE(stall_advice(verdict.what).empty());
  EXPECT_EQ(verdict.sentence.find("DSQ"), std::string::npos);
}

TEST(StallClass, MasksAndPerCpuThreads) {
  EXPECT_EQ(parse_cpu_mask("0200"), std::vector<unsigned>{9});
  EXPECT_EQ(parse_cpu_mask("1,00000001"), (std::vector<unsigned>{0, 32}));
  EXPECT_TRUE(parse_cpu_mask("xyz").empty());
  EXPECT_EQ(bound_by_name("kworker/10:1H"), 10);
  EXPECT_EQ(bound_by_name("kworker/u64:4"), -1);
  EXPECT_EQ(bound_by_name("ksoftirqd/2"), 2);
  EXPECT_EQ(bound_by_name("firefox/2"), -1);
}

}  // namespace
}  // namespace ktstr
