// What the test did before the scheduler's end, as the report's head says it.
#include "reporter/action_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reporter/testing/synthetic_run.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Changes : public ::testing::Test {
 protected:
  Changes() {
    auto step = std::make_unique<StepT>();
    step->name = "away";
    for (const char* text : {"offline 3", "online 3"}) {
      step->ops.push_back(std::make_unique<StepOpT>());
      step->ops.back()->text = text;
    }
    run_.spec().steps.push_back(std::move(step));
    run_.boot();
    run_.attach("demo");
    run_.start_workload();
  }
  void phase() {
    PhaseStartedT p;
    p.name = "away";
    run_.add(std::move(p));
  }
  void applied(uint32_t index, const std::string& op) {
    OpAppliedT o;
    o.step = 1;
    o.index = index;
    o.op = op;
    run_.add(std::move(o));
  }
  // The watchdog aborts the scheduler.
  std::string stalls() {
    run_.dump({"demo: root", "swapper/0[0] triggered exit kind 1026 on CPU 0:",
               "  runnable task stall (watchdog failed to check in for 5.004s)"});
    run_.add(SyntheticRun::crash(1026, "runnable task stall", "watchdog failed to check in for 5.004s", {}));
    run_.power_off();
    run_.complete();
    return run_.text();
  }
  SyntheticRun run_;
};

TEST_F(Changes, AnOperationThatTheKernelIsBusyWithIsSaidInTheFirstLine) {
  phase();
  run_.advance_ms(10'000);
  const std::string text = stalls();
  const std::string first = text.substr(0, text.find('\n'));
  EXPECT_THAT(first, HasSubstr("; meanwhile the test was at step 1: offline 3"));
  EXPECT_THAT(text, HasSubstr("test did:  step 1: offline 3, begun 10.0"));
  EXPECT_THAT(text, HasSubstr(" before and not done"));
}

TEST_F(Changes, OperationsThatAreDoneAndWritesAreSaidWithTheirTime) {
  phase();
  run_.advance_ms(100);
  applied(0, "offline 3");
  run_.advance_ms(100);
  applied(1, "online 3");
  run_.advance_ms(1'000);
  MapWrittenT write;
  write.map = ".bss";
  write.field = "throttled";
  write.before = "false";
  write.after = "true";
  run_.add(std::move(write));
  run_.advance_ms(6'000);
  const std::string text = stalls();
  EXPECT_THAT(text.substr(0, text.find('\n')), Not(HasSubstr("meanwhile the test")));
  EXPECT_THAT(text, HasSubstr("step 1: offline 3, 7."));
  EXPECT_THAT(text, HasSubstr("; step 1: online 3, 7."));
  EXPECT_THAT(text, HasSubstr("; .bss throttled written: false -> true, 6."));
}

TEST_F(Changes, NothingIsSaidOfATestThatDidNothing) { EXPECT_THAT(stalls(), Not(HasSubstr("test did:"))); }

}  // namespace
}  // namespace ktstr::testing
