// Tests of schedulers in C++. Run them with ctest, or by hand: ktstr-launch run my_tests [-E
// 'test(partition)']
#include <ktstr/test.h>

#include <chrono>

using namespace std::chrono_literals;

namespace {

constexpr ktstr::Scheduler kGood{.name = "good", .binary = "scx_good"};
constexpr ktstr::Scheduler kBudget{.name = "budget", .binary = "scx_demo", .args = {"--fail-after", "500"}};

}  // namespace

// Two groups on halves of the machine: neither leaves its own, and both make progress; then they change
// places.
KTSTR_TEST(partition_holds, .scheduler = kGood, .llcs = 2, .cores = 1, .duration_s = 3, .isolation = true) {
  auto left = ctx.cgroup("left").set_cpuset(ctx.topology().llc(0));
  auto right = ctx.cgroup("right").set_cpuset(ctx.topology().llc(1));
  auto spinners = left.spawn(2, "CpuSpin");
  auto counters = right.spawn(2, [](ktstr::WorkLoop& work) {
    for (unsigned long n = 1; work.running(); ++n)
      if (n % 10'000 == 0) work.iteration();
  });
  if (!ctx.run_for(ctx.duration())) return ktstr::fail("the scheduler went away");
  auto result =
      ktstr::Assert::default_checks().max_spread_pct(30).judge(ctx, {spinners.stop(), counters.stop()});
  const bool attached = ctx.scheduler_attached();
  ctx.check("scheduler at the end", attached, attached ? "enabled" : "gone", "enabled");
  return result;
}

// A known bug, pinned: passes for as long as the scheduler still fails in this way.
KTSTR_TEST(budget_bug, .scheduler = kBudget, .expect_err = true, .cores = 2, .duration_s = 5,
           .auto_repro = false,
           .assertions =
               ktstr::Assert::NO_OVERRIDES.expect_scx_bpf_error_matches(R"(budget of \d+ enqueues spent)")) {
  auto busy = ctx.cgroup("busy").spawn(4, "YieldHeavy");
  ctx.run_steps({{"warm up", nullptr, 1s}, {"squeeze", [&] { ctx.cgroup("busy").set_cpuset("0"); }, 2s}});
  return ktstr::pass();
}
