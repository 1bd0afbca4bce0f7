// A user's test binary, for sdk_test: what its list says, and how it compiles under a user's warnings.
#include <ktstr/test.h>

#include <cstdlib>

namespace {

constexpr ktstr::Scheduler kDemo{.name = "demo", .binary = "scx_demo", .args = {"--fail-after", "500"}};
constexpr ktstr::Scheduler kDemoLater{.name = "demo", .binary = "scx_demo", .args = {"--fail-after", "9000"}};

}  // namespace

KTSTR_TEST(pinned_crash, .scheduler = kDemo, .expect_err = true, .expect_scx_bpf_error_contains = std::getenv("KTSTR_SAMPLE_BAD_PIN") ? "" : "budget of 500",
           .cores = 4, .duration_s = 2.5,
           .cgroups = {{.name = "cg_0", .workers = 4, .work = "YieldHeavy"}, {.name = "cg_1", .cpuset = "0-1"}}) {
  return ktstr::pass();
}

KTSTR_TEST(by_builder, .scheduler = kDemoLater, .expect_err = true, .max_gap_ms = 100,
           .assertions = ktstr::Assert::default_checks().max_gap_ms(500).expect_scx_bpf_error_matches(R"(budget of \d+)"),
           .toml = "kernel = \"7.3\"\n[[test.cgroup]]\nname = \"more\"") {
  return ktstr::pass();
}

KTSTR_TEST(by_name, .scheduler = "scx_good") { return ctx.cgroup("a").name() == "a" ? ktstr::pass() : ktstr::fail("no"); }

KTSTR_TEST(kernels_own) { throw 1; }
