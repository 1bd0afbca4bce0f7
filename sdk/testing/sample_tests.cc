// A user's test binary, for sdk_test: what its list says, and how it compiles under a user's warnings.
#include <ktstr/test.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr ktstr::Scheduler kDemo{.name = "demo", .binary = "scx_demo", .args = {"--fail-after", "500"}};
constexpr ktstr::Scheduler kDemoLater{.name = "demo", .binary = "scx_demo", .args = {"--fail-after", "9000"}};

}  // namespace

KTSTR_TEST(pinned_crash, .scheduler = kDemo, .expect_err = true,
           .expect_scx_bpf_error_contains = std::getenv("KTSTR_SAMPLE_BAD_PIN") ? "" : "budget of 500",
           .cores = 4, .duration_s = 2.5,
           .cgroups = {{.name = "cg_0", .workers = 4, .work = "YieldHeavy"},
                       {.name = "cg_1", .cpuset = "0-1"}}) {
  return ktstr::pass();
}

KTSTR_TEST(by_builder, .scheduler = kDemoLater, .expect_err = true, .max_gap_ms = 100,
           .assertions = ktstr::Assert::default_checks().max_gap_ms(500).expect_scx_bpf_error_matches(
               R"(budget of \d+)"),
           .toml = "kernel = \"7.3\"\n[[test.cgroup]]\nname = \"more\"") {
  return ktstr::pass();
}

KTSTR_TEST(by_name, .scheduler = "scx_good") {
  return ctx.cgroup("a").name() == "a" ? ktstr::pass() : ktstr::fail("no");
}

KTSTR_TEST(kernels_own) { throw 1; }

// Run in a VM by the Clients tests (e2e): what a body can tell, all of it in one report.
KTSTR_TEST(tells_its_checks, .scheduler = "scx_good", .cores = 2, .duration_s = 1, .auto_repro = false,
           .isolation = true) {
  using namespace std::chrono_literals;
  std::puts("words of the body");
  auto left = ctx.cgroup("left").set_cpuset(ctx.topology().range(0, 0.5));
  auto pipes = left.spawn(2, "PipeIo");
  auto own = ctx.cgroup("right").spawn(1, [](ktstr::WorkLoop& work) {
    while (work.running()) {
      work.sleep(1ms);
      work.iteration();
    }
  });
  auto fan = ctx.cgroup("fan").spawn(3, "FutexFanOut", {.fan_out = 2});
  ctx.run_steps({{"apart", nullptr, 300ms},
                 {"swapped", [&] { left.set_cpuset(ctx.topology().range(0.5, 1)); }, 300ms}});
  ctx.cgroup("left").set_cpuset("0-99");
  ctx.check("budget", false, "7", "5");
  unsigned messengers = 0;
  for (const ktstr::WorkerResult& worker : fan.stop()) messengers += worker.messenger;
  ctx.check("messengers", messengers == 1, std::to_string(messengers), "1");
  return ktstr::Assert::NO_OVERRIDES.not_starved().min_work_rate(1e9).judge(ctx, {pipes.stop(), own.stop()});
}
