#include "scx/pin_proposal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "scx/error_pin.h"
#include "spec/spec.h"

namespace ktstr {
namespace {

using testing::HasSubstr;

TEST(GeneralizeMessage, WhatBelongsToTheRunIsMadeGeneral) {
  std::vector<std::string> pieces;
  EXPECT_EQ(generalize_message("demo: budget of 500 enqueues spent by cg_0/2[120] on cpu 3", {}, &pieces),
            R"(demo: budget of [0-9]+ enqueues spent by \S+\[[0-9]+\] on cpu [0-9]+)");
  EXPECT_THAT(pieces, testing::ElementsAre("demo: budget of ", " enqueues spent by ", " on cpu "));
  EXPECT_EQ(generalize_message("non-existent DSQ 0xbad for x[7]", {}, nullptr),
            R"(non-existent DSQ 0[xX][0-9a-fA-F]+ for \S+\[[0-9]+\])");
  EXPECT_EQ(generalize_message("a b[12] failed to run for 5.123s", {"a b"}, nullptr),
            R"(.+\[[0-9]+\] failed to run for [0-9]+\.[0-9]+s)");
  EXPECT_EQ(generalize_message("returned -22 (at ffffffff81234567)", {}, nullptr),
            R"(returned -?[0-9]+ \(at [0-9a-fA-F]+\))");
}

TEST(GeneralizeMessage, WhatBelongsToTheBugStays) {
  EXPECT_EQ(generalize_message("layer2_cell is not deadbeefed", {}, nullptr),
            "layer2_cell is not deadbeefed");
  EXPECT_EQ(generalize_message("cells[cpu] lost, worker lost it", {"worker"}, nullptr),
            R"(cells\[cpu\] lost, \S+ lost it)");
  EXPECT_EQ(generalize_message("workers lost it", {"worker"}, nullptr), "workers lost it");
}

class Proposal : public testing::Test {
 protected:
  template <typename T>
  static void fold(PinEvidence* e, T payload) {
    e->fold(make_event({.run_id = "r", .source = "s", .vm = Vm::Primary}, std::move(payload)));
  }
  static void line(PinEvidence* e, const char* text) {
    SchedulerLineT l;
    l.text = text;
    fold(e, std::move(l));
  }
  static void crash(PinEvidence* e, const std::string& message, CrashKind kind = CrashKind::SchedExtExit) {
    line(e, "[x] attached");
    line(e, "[x] enqueued=3");
    fold(e, SchedulerAttachedT{});
    DumpLineT d;
    d.text = "  scx_bpf_error (" + message + ")";
    fold(e, std::move(d));
    line(e, ("EXIT: scx_bpf_error (" + message + ")").c_str());
    CrashDetectedT c;
    c.kind = kind;
    c.reason = kind == CrashKind::SchedExtExit ? "scx_bpf_error" : "kernel panic";
    c.message = message;
    c.ops_name = "x";
    fold(e, std::move(c));
  }
};

TEST_F(Proposal, ItIsProvedAndCanBePasted) {
  PinEvidence primary, repro;
  crash(&primary, "no \"cell\" 7 for a[12]");
  crash(&repro, "no \"cell\" 9 for b[4]");
  auto p = propose_pin(primary, repro);
  ASSERT_TRUE(p.ok()) << p.error().to_string();
  EXPECT_EQ(p->contains, "no \"cell\"");
  EXPECT_THAT(p->proofs, testing::ElementsAre(HasSubstr("this run's corpus (4 lines)"),
                                              HasSubstr("the 2 lines"), HasSubstr("repro VM")));
  // The parser that users' specs go through takes it as it is.
  auto spec = parse_tests(
      "[scheduler.x]\nbinary = \"scx_x\"\n[[test]]\nname = \"t\"\nscheduler = \"x\"\n" + p->toml(), "x.toml",
      {});
  ASSERT_TRUE(spec.ok()) << spec.error().to_string();
  EXPECT_EQ((*spec)[0].spec.expect_scx_bpf_error_contains, p->contains);
  EXPECT_EQ((*spec)[0].spec.expect_scx_bpf_error_matches, p->matches);
}

TEST_F(Proposal, AMessageOfNumbersAloneLeansOnTheReason) {
  PinEvidence primary;
  crash(&primary, "17");
  auto p = propose_pin(primary, {});
  ASSERT_TRUE(p.ok()) << p.error().to_string();
  EXPECT_EQ(p->matches, R"(scx_bpf_error \([0-9]+)");
  EXPECT_EQ(p->contains, "scx_bpf_error");
}

TEST_F(Proposal, ASecondVmThatCrashedOtherwiseIsSaidSo) {
  PinEvidence primary, repro;
  crash(&primary, "no such cell 7");
  crash(&repro, "something else");
  EXPECT_THAT(propose_pin(primary, repro)->toml(),
              HasSubstr("# careful: the repro VM's corpus is not matched"));
}

TEST_F(Proposal, AnErrorInOpsInitCanBePinnedThoughItNeverAttached) {
  PinEvidence primary;
  DumpLineT d;
  d.text = "  scx_bpf_error (apply_cell_config returned -22)";
  fold(&primary, std::move(d));
  SchedulerExitedT exited;
  fold(&primary, std::move(exited));
  CrashDetectedT c;
  c.reason = "scx_bpf_error";
  c.message = "apply_cell_config returned -22";
  fold(&primary, std::move(c));
  auto p = propose_pin(primary, {});
  ASSERT_TRUE(p.ok()) << p.error().to_string();
  EXPECT_EQ(p->matches, "apply_cell_config returned -?[0-9]+");
}

TEST_F(Proposal, AMessageOfSeveralLinesIsPinnedByItsFirst) {
  PinEvidence primary;
  fold(&primary, SchedulerAttachedT{});
  line(&primary, "EXIT: scx_bpf_error (first line of it");
  line(&primary, "second line)");
  CrashDetectedT c;
  c.reason = "scx_bpf_error";
  c.message = "first line of it second line";
  fold(&primary, std::move(c));
  auto p = propose_pin(primary, {});
  ASSERT_TRUE(p.ok()) << p.error().to_string();
  EXPECT_EQ(p->matches, "first line of it");
}

TEST_F(Proposal, ControlCharactersCannotLeaveTheComment) {
  PinEvidence primary;
  crash(&primary, "bad cell\nexpect_err = false");
  auto p = propose_pin(primary, {});
  ASSERT_TRUE(p.ok()) << p.error().to_string();
  for (size_t at = p->toml().find('\n'); at + 1 < p->toml().size(); at = p->toml().find('\n', at + 1))
    EXPECT_TRUE(p->toml().substr(at + 1).starts_with("expect_") || p->toml()[at + 1] == '#') << p->toml();
  EXPECT_EQ(p->toml().find("\nexpect_err = false"), std::string::npos);
}

TEST_F(Proposal, WithoutACrashOfTheSchedulerThereIsNone) {
  PinEvidence none;
  EXPECT_THAT(propose_pin(none, {}).error().message(), HasSubstr("records no crash"));
  PinEvidence dead;
  SchedulerExitedT exited;
  exited.signal = 11;
  fold(&dead, SchedulerExitedT(exited));
  EXPECT_THAT(propose_pin(dead, {}).error().message(), HasSubstr("never attached"));
  fold(&dead, SchedulerAttachedT{});
  fold(&dead, std::move(exited));
  EXPECT_THAT(propose_pin(dead, {}).error().message(), HasSubstr("process died"));
  PinEvidence panic;
  fold(&panic, SchedulerAttachedT{});
  crash(&panic, "Kernel panic", CrashKind::KernelPanic);
  EXPECT_THAT(propose_pin(panic, {}).error().message(), HasSubstr("one of the kernel"));
  PinEvidence console_only;
  fold(&console_only, SchedulerAttachedT{});
  CrashDetectedT c;
  c.reason = "scx_bpf_error";
  c.message = "only on the console";
  fold(&console_only, std::move(c));
  EXPECT_THAT(propose_pin(console_only, {}).error().message(), HasSubstr("not in the corpus"));
}

}  // namespace
}  // namespace ktstr
