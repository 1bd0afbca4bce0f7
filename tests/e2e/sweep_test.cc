// ktstr-launch sweep: schedulers of a file on kernels and topologies, without a test of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

using ::testing::HasSubstr;

TEST(Sweep, EveryCellIsTriedAndTheTableSaysWhichStepFailed) {
  Scratch scratch;
  const std::string spec =
      scratch.write("spec.toml",
                    "[scheduler.good]\nbinary = \"scx_good\"\n"
                    "[scheduler.bad]\nbinary = \"scx_demo\"\nargs = [\"--fail-after\", \"50\"]\n"
                    "[[test]]\nname = \"not_run\"\nscheduler = \"good\"\nduration_s = 600\n");
  // On two series where two are cached, else on the one there is.
  const bool both = launch(scratch, {"list", spec, "--kernel", "6.16..6.16"}).exit_code == 0;
  std::vector<std::string> args = {
      "sweep", spec,    "--topologies",          "1n2l1c1t", "--duration",
      "1",     "--out", scratch.path() + "/out", "--json",   scratch.path() + "/sweep.json"};
  if (both) args.insert(args.end(), {"--kernel", "6.16", "--kernel", "7.3"});
  const RunOutput run = launch(scratch, args);
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  EXPECT_THAT(run.out, HasSubstr("good: verified instructions"));
  EXPECT_THAT(run.out, HasSubstr("not passed\n  bad on "));
  EXPECT_THAT(run.out, HasSubstr("scx_bpf_error"));
  EXPECT_THAT(run.out, HasSubstr("rerun: "));

  const auto json = nlohmann::json::parse(read_file(scratch.path() + "/sweep.json"), nullptr, false);
  ASSERT_TRUE(json.is_object()) << read_file(scratch.path() + "/sweep.json");
  EXPECT_EQ(json["cells"].size(), both ? 4u : 2u);
  for (const auto& cell : json["cells"]) {
    EXPECT_EQ(cell["topology"], "1n2l1c1t");
    EXPECT_EQ(cell["verify"], "passed") << cell.dump();
    EXPECT_GT(cell["verified_insns"]["enqueue"], 0) << cell.dump();
    EXPECT_EQ(cell["result"] == "ok", cell["scheduler"] == "good") << cell.dump();
  }
}

}  // namespace
}  // namespace ktstr::e2e
