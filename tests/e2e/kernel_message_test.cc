// A test under which the kernel warns is no pass, though the scheduler lives.
#include <gtest/gtest.h>

#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

TEST(KernelMessage, AWarningFailsAPassingTestUnlessItIsAllowed) {
  Scratch scratch;
  const std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_warn", .duration_s = 4}));
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  EXPECT_TRUE(run.out.starts_with("BUG SUMMARY: kernel warning")) << run.out;
  EXPECT_NE(run.out.substr(0, run.out.find('\n')).find("scx_cgroup_move_task"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("kernel messages:"), std::string::npos) << run.out;
  const std::string allowing = scratch.write(
      "allowing.toml", spec_text({.scheduler = "scx_warn",
                                  .test = "allow_kernel_warnings = [\"scx_cgroup_move_task\"]\n",
                                  .duration_s = 4}));
  run = launch(scratch, {"run", allowing, "--out", scratch.path() + "/allowed"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
}

}  // namespace
}  // namespace ktstr::e2e
