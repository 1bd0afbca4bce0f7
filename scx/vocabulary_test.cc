#include "scx/vocabulary.h"

#include <gtest/gtest.h>

#include <set>

#include "schemas/common_generated.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

TEST(Vocabulary, AnExitKindAndItsReasonAreOneFact) {
  for (const uint64_t kind :
       {kScxExitUnreg, kScxExitSysrq, kScxExitParent, kScxExitError, kScxExitErrorBpf, kScxExitErrorStall})
    EXPECT_EQ(exit_kind_of(exit_kind_name(kind)), kind) << exit_kind_name(kind);
  EXPECT_EQ(exit_kind_name(7), "exit kind 7");
  EXPECT_EQ(exit_kind_of("exit kind 7"), 0u);
  EXPECT_EQ(exit_kind_of(""), 0u);
}

// Four spellings of one queue: the dump's text, a probe's value, the frozen guest's record, a sample's id.
TEST(Vocabulary, ALocalDsqHasOneNameWhereverItsIdComesFrom) {
  EXPECT_EQ(dsq_name(0xc000000000000003), "local DSQ of CPU 3");
  EXPECT_EQ(dsq_name("0xc000000000000003"), "local DSQ of CPU 3");
  EXPECT_EQ(dsq_name(kScxDsqLocal, DsqKind::Global, 3), "local DSQ of CPU 3");
  EXPECT_EQ(dsq_name(kScxDsqLocal), "local DSQ");
}

TEST(Vocabulary, OtherDispatchQueues) {
  EXPECT_EQ(dsq_name(0x100), "DSQ 0x100");
  EXPECT_EQ(dsq_name("256"), "DSQ 0x100");
  EXPECT_EQ(dsq_name(0x100, DsqKind::User, 0), "DSQ 0x100");
  EXPECT_EQ(dsq_name(kScxDsqGlobal), "global DSQ");
  EXPECT_EQ(dsq_name(kScxDsqGlobal, DsqKind::Global, 1), "global DSQ of node 1");
  EXPECT_EQ(dsq_name(kScxDsqBypass, DsqKind::Bypass, 2), "bypass DSQ of CPU 2");
  EXPECT_EQ(dsq_name(kScxDsqInvalid), "no DSQ");
  EXPECT_EQ(dsq_name("what"), "DSQ what");
}

TEST(Vocabulary, WhereATaskWaits) {
  EXPECT_EQ(waits_in(""), "in no DSQ");
  EXPECT_EQ(waits_in(dsq_name(kScxDsqInvalid)), "in no DSQ");
  EXPECT_EQ(waits_in(dsq_name(0x100)), "in DSQ 0x100");
  EXPECT_EQ(waits_in(dsq_name(kScxDsqGlobal)), "in the global DSQ");
}

TEST(Vocabulary, EveryStageHasItsOwnName) {
  std::set<std::string> names;
  for (const Stage stage : EnumValuesStage()) names.insert(stage_name(stage));
  EXPECT_EQ(names.size(), std::size(EnumValuesStage()));
  EXPECT_EQ(stage_name(static_cast<Stage>(200)), "stage 200") << "a guest may say any";
}

}  // namespace
}  // namespace ktstr
