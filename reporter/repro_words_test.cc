#include "reporter/repro_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ktstr {
namespace {

TEST(ReproWords, DataAndTheWordsOfOldLogsReadTheSame) {
  DecodedValueT now, old;
  now.entry = "0xff00";
  now.same_fields = 1;
  now.same_as = "do_enqueue_task";
  old.entry = "0xff00 (1 field as in do_enqueue_task)";
  EXPECT_EQ(entry_words(now), old.entry);
  EXPECT_EQ(entry_words(old), old.entry);

  DecodedCallT call, old_call;
  call.retval = "-7";
  call.is_static = true;
  old_call.retval = "-7 (where its caller uses it: a static function)";
  EXPECT_EQ(return_words(call), old_call.retval);
  EXPECT_EQ(return_words(old_call), old_call.retval);
  EXPECT_EQ(return_value(call), "-7");
  EXPECT_EQ(return_value(old_call), "-7");

  call.reason = CallReason::AttachFailed;
  call.reason_detail = "fentry refused";
  old_call.note = "not probed: fentry refused";
  EXPECT_EQ(call_note(call), old_call.note);
  EXPECT_EQ(call_note(old_call), old_call.note);
}

TEST(ReproWords, EveryReasonHasWordsOfItsOwn) {
  std::vector<std::string> seen;
  for (CallReason reason : EnumValuesCallReason()) {
    DecodedCallT call;
    call.reason = reason;
    EXPECT_EQ(call_note(call).empty(), reason == CallReason::Unstated) << EnumNameCallReason(reason);
    EXPECT_THAT(seen, testing::Not(testing::Contains(call_note(call))));
    seen.push_back(call_note(call));
  }
}

TEST(ReproWords, AShiftedArgumentIsToldAfterTheReason) {
  DecodedCallT call;
  call.shifted = true;
  EXPECT_THAT(call_note(call), testing::StartsWith("a pointer does not look like one"));
  call.reason = CallReason::LastCall;
  EXPECT_THAT(call_note(call), testing::StartsWith("last call; a pointer does not look like one"));
}

TEST(ReproWords, AnOutcomeIsSaidFromItsData) {
  ReproFinishedT repro;
  repro.status = ReproStatus::VmFailed;
  repro.last_stage = Stage::SchedulerStarted;
  repro.hit_source = HitSource::Lost;
  EXPECT_EQ(outcome_words(repro),
            "the repro VM never reached its workload; last stage: scheduler's process started");
  repro.init_error = "no /proc";
  EXPECT_EQ(outcome_words(repro), "the repro VM's init gave up: no /proc");

  ReproFinishedT same;
  same.status = ReproStatus::SameSignature;
  same.hit_source = HitSource::GuestMemory;
  same.times_from_last_hit = true;
  same.artefact_retries = 2;
  EXPECT_EQ(
      outcome_words(same),
      "the repro VM ended in the same way; the guest died before it sent its hits; they were read from its "
      "memory (times count from the last hit) (2 attempts not counted: emulator artifact)");
  same.detail = "words of an old log";
  EXPECT_EQ(outcome_words(same), same.detail);
}

TEST(ReproWords, DebugInfoIsAskedForOnlyWhereARunLacksIt) {
  ReproFinishedT repro;
  KernelInfoT kernel;
  kernel.release = "7.3.4+deb13-cloud-amd64";
  EXPECT_EQ(hint_words(repro, &kernel), "") << "no VM ran";
  repro.hit_source = HitSource::Guest;
  EXPECT_THAT(hint_words(repro, &kernel), testing::HasSubstr("kernel fetch 7.3 --debuginfo"));
  EXPECT_EQ(hint_words(repro, nullptr), "");
  kernel.debuginfo = "/vmlinux";
  EXPECT_EQ(hint_words(repro, &kernel), "");
}

TEST(ReproWords, EveryReasonToDeclineHasItsWords) {
  for (DeclineCause cause : EnumValuesDeclineCause()) {
    ReproDeclinedT declined;
    declined.cause = cause;
    declined.reason = cause == DeclineCause::Unstated ? "words of an old log" : "";
    EXPECT_NE(decline_words(declined), "") << EnumNameDeclineCause(cause);
  }
}

}  // namespace
}  // namespace ktstr
