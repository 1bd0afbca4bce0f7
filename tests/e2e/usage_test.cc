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

TEST(Usage, AnUnknownVerbOptionOrTestNameGetsWhatWasMeant) {
  Scratch scratch;
  const std::string spec = scratch.write("spec.toml", spec_text({.name = "steady"}));
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"rnu", spec}, "did you mean run?"},
      {{"run", "--job", "2", spec}, "did you mean --jobs?"},
      {{"kernel", "fetsh"}, "did you mean fetch?"},
      {{"show", "stedy", spec}, "did you mean steady?"}};
  for (const auto& [args, meant] : cases) {
    auto run = launch(scratch, args);
    EXPECT_EQ(run.exit_code, 2) << args[0];
    EXPECT_NE(run.err.find(meant), std::string::npos) << run.err;
  }
  for (const char* bad : {"--jobs=none", "--partition=slice:1/2", "--retries=-1"})
    EXPECT_EQ(launch(scratch, {"run", bad, spec}).exit_code, 2) << bad;
  EXPECT_EQ(launch(scratch, {"run", "--repeat", "2", "--retries", "1", spec}).exit_code, 2);
}

TEST(Usage, DoctorNamesTheCommandThatMendsEachTrouble) {
  Scratch scratch;
  auto sick = launch(
      scratch, {"doctor"},
      {"XDG_CACHE_HOME=" + scratch.path() + "/cache", "KTSTR_QEMU=/no/qemu", "XDG_STATE_HOME=/proc/no"});
  EXPECT_EQ(sick.exit_code, 3) << sick.out;
  for (const char* text : {"BAD   kernels", "ktstr-launch kernel fetch", "BAD   QEMU", "unset KTSTR_QEMU",
                           "BAD   kept runs", "export XDG_STATE_HOME=", "ok    programs"})
    EXPECT_NE(sick.out.find(text), std::string::npos) << text << "\n" << sick.out;
  auto sound = launch(scratch, {"doctor"}, {"XDG_STATE_HOME=" + scratch.path() + "/state"});
  EXPECT_EQ(sound.exit_code, 0) << sound.out;
}

// In a real bash, as a person presses the tabulator.
TEST(Usage, BashCompletesVerbsAndTheirOptions) {
  Scratch scratch;
  const std::string script = scratch.write("try.sh", R"(source <("$1" completions bash)
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _ktstr_launch; echo "${COMPREPLY[@]}"; }
ask ktstr-launch ru
ask ktstr-launch run --parti
ask ktstr-launch kernel fet
ask ktstr-launch runs clean --ol
)");
  auto run =
      run_captured({.argv = {"bash", script, launch_argv({})[0]}}, std::chrono::milliseconds(60'000), true);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->out, "run runs\n--partition\nfetch\n--older\n");
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
