// A message of the kernel fails a test that would pass without it, unless the spec allows it or it came before.
#include "reporter/kernel_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reporter/testing/synthetic_run.h"
#include "schemas/exit_code.h"
#include "schemas/spec_generated.h"
#include "scx/constants.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

KernelFaultT warning() {
  KernelFaultT fault;
  fault.kind = FaultKind::Warning;
  fault.function = "scx_cgroup_move_task";
  fault.file = "kernel/sched/ext.c";
  fault.line = 3725;
  return fault;
}

enum class When { kBeforeTheScheduler, kInTheWorkload };

Report run_with(KernelFaultT fault, When when, const std::vector<std::string>& allow = {},
                bool expect_err = false) {
  SyntheticRun run;
  run.spec().allow_kernel_warnings = allow;
  run.spec().expect_err = expect_err;
  if (when == When::kBeforeTheScheduler) {
    run.boot();
    run.add(fault);
    run.attach("demo");
    run.start_workload();
  } else {
    run.boot();
    run.attach("demo");
    run.start_workload();
    run.add(fault);
  }
  if (expect_err) run.add(SyntheticRun::crash(kScxExitErrorBpf, "scx_bpf_error", "no such cell", {}));
  run.report_workers();
  run.finish_workload();
  run.detach("demo");
  run.power_off();
  run.vm_end(VmEnd::PoweredOff);
  run.complete();
  return run.report();
}

TEST(KernelMessages, AWarningUnderTheSchedulerFailsTheTest) {
  const Report report = run_with(warning(), When::kInTheWorkload);
  EXPECT_EQ(report.judgement.code, ExitCode::kTestFailed) << report.text;
  EXPECT_THAT(report.text, HasSubstr("BUG SUMMARY: kernel warning"));
  EXPECT_THAT(report.text, HasSubstr("scx_cgroup_move_task"));
  EXPECT_THAT(report.text, HasSubstr("--- diagnostics ---"));
  EXPECT_THAT(report.text, HasSubstr("kernel messages:"));
  EXPECT_THAT(report.text, Not(HasSubstr("panic")));
}

TEST(KernelMessages, AnEarlierOneIsOnlyNoted) {
  const Report report = run_with(warning(), When::kBeforeTheScheduler);
  EXPECT_EQ(report.judgement.code, ExitCode::kPass) << report.text;
}

TEST(KernelMessages, APanicThatTheGuestSurvivesIsSaidToBeNone) {
  KernelFaultT panic;
  panic.kind = FaultKind::Panic;
  panic.title = panic.message = "forged";
  EXPECT_THAT(run_with(panic, When::kInTheWorkload).text,
              HasSubstr("what this guest says cannot be trusted"));
  EXPECT_THAT(run_with(warning(), When::kInTheWorkload).text, Not(HasSubstr("cannot be trusted")));
}

TEST(KernelMessages, TheSameOneManyTimesIsOneNote) {
  SyntheticRun run;
  run.boot();
  run.attach("demo");
  run.start_workload();
  run.add(SyntheticRun::crash(kScxExitErrorBpf, "scx_bpf_error", "no such cell", {}));
  for (int i = 0; i < 3; ++i) run.add(warning());
  run.finish_workload();
  run.power_off();
  run.complete();
  EXPECT_THAT(run.text(), HasSubstr("scx_cgroup_move_task"));
  EXPECT_THAT(run.text(), HasSubstr(" (3 times)"));
}

TEST(KernelMessages, TheSpecMayAllowIt) {
  EXPECT_EQ(run_with(warning(), When::kInTheWorkload, {"scx_cgroup_move_task"}).judgement.code,
            ExitCode::kPass);
  EXPECT_EQ(run_with(warning(), When::kInTheWorkload, {"*"}).judgement.code, ExitCode::kPass);
  EXPECT_EQ(run_with(warning(), When::kInTheWorkload, {"another_function"}).judgement.code,
            ExitCode::kTestFailed);
}

TEST(KernelMessages, AnExpectedErrorWithAWarningIsNoPass) {
  const Report report = run_with(warning(), When::kInTheWorkload, {}, /*expect_err=*/true);
  EXPECT_EQ(report.judgement.code, ExitCode::kTestFailed) << report.text;
  EXPECT_EQ(run_with(warning(), When::kInTheWorkload, {"*"}, true).judgement.code, ExitCode::kPass);
}

TEST(KernelMessages, OneThatMeasuresTimeGivesNoVerdictWhereNobodySawTheGuestRun) {
  KernelFaultT stall = warning();
  stall.kind = FaultKind::RcuStall;
  stall.measures_time = true;
  EXPECT_EQ(run_with(stall, When::kInTheWorkload).judgement.code, ExitCode::kInconclusive);
}

}  // namespace
}  // namespace ktstr::testing
