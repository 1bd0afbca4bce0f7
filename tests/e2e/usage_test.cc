// What is refused before anything boots: one clear error each, exit code 2, no QEMU.
#include <gtest/gtest.h>

#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

RunOutput run_spec(const Scratch& scratch, const std::string& text, std::vector<std::string> more = {}) {
  std::string spec = scratch.write("spec.toml", text);
  std::vector<std::string> args = {"run", spec, "--out", scratch.path() + "/out"};
  args.insert(args.end(), more.begin(), more.end());
  return launch(scratch, args);
}

TEST(Usage, AMissingSchedulerBinaryNamesThePlacesLookedAt) {
  Scratch scratch;
  auto run = run_spec(scratch, spec_text({.scheduler = "scx_no_such_scheduler"}));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("spec.toml:2"), std::string::npos) << run.err;
  EXPECT_NE(run.err.find("scx_no_such_scheduler"), std::string::npos) << run.err;
}

TEST(Usage, AnUnknownKeyGetsDidYouMean) {
  Scratch scratch;
  auto run = run_spec(scratch, spec_text({.test = "duration = 3"}));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("duration_s"), std::string::npos) << run.err;
}

TEST(Usage, ABadPinIsRefusedBeforeBoot) {
  Scratch scratch;
  auto run = run_spec(scratch, spec_text({.scheduler = "scx_demo",
                                          .test = "expect_err = true\nexpect_scx_bpf_error_matches = 'a*'"}));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("a*"), std::string::npos) << run.err;
}

TEST(Usage, AKernelThatIsNoKernelIsRefused) {
  Scratch scratch;
  std::string text_file = scratch.write("vmlinuz", "this is not a kernel\n");
  auto run = run_spec(scratch, spec_text({.scheduler = "scx_good"}), {"--kernel", text_file});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find(text_file), std::string::npos) << run.err;
}

TEST(Usage, NoSelectedTestHasACodeOfItsOwn) {
  Scratch scratch;
  auto run = run_spec(scratch, spec_text({.scheduler = "scx_good"}), {"-E", "test(=other)"});
  EXPECT_EQ(run.exit_code, 5) << run.err;
}

TEST(Usage, ForeignLogIsOneClearError) {
  Scratch scratch;
  std::string log = scratch.write("events.ktlog", std::string(100, 'x'));
  Running reporter(scratch, {std::string(KTSTR_BIN) + "/ktstr-reporter", log});
  auto output = reporter.finish();
  EXPECT_NE(output.exit_code, 0);
  EXPECT_NE(output.err.find("not an event log"), std::string::npos) << output.err;
  EXPECT_EQ(output.out, "");
}

}  // namespace
}  // namespace ktstr::e2e
