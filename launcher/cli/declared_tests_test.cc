// A real test binary (sdk/testing/sample_tests.cc), asked as `run` asks it.
#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/testing/temp_dir.h"
#include "launcher/cli/spec_files.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

const std::string kSample = KTSTR_TEST_SAMPLE;

const LoadedTest* find(const std::vector<LoadedTest>& tests, std::string_view name) {
  for (const LoadedTest& test : tests)
    if (test.spec.name == name) return &test;
  return nullptr;
}

TEST(TestProgram, ItsTestsHaveTheirPlaceInCppAndTheBinaryAsBody) {
  auto tests = load_tests_of(kSample, {});
  ASSERT_TRUE(tests) << tests.error().to_string();
  EXPECT_EQ(tests->size(), 5u);
  const LoadedTest* test = find(*tests, "pinned_crash");
  ASSERT_NE(test, nullptr);
  EXPECT_TRUE(test->spec.file.ends_with("sample_tests.cc")) << test->spec.file;
  EXPECT_GT(test->spec.line, 5u);
  EXPECT_EQ(test->spec.scheduler->args, (std::vector<std::string>{"--fail-after", "500"}));
  EXPECT_EQ(test->spec.cgroups.size(), 2u);
  EXPECT_EQ(test->spec.expect_scx_bpf_error_contains, "budget of 500");
  for (const Setting& setting : test->settings)
    EXPECT_TRUE(setting.layer == Layer::kBuiltIn || setting.line == test->spec.line)
        << setting.name << " at line " << setting.line;
  ASSERT_EQ(test->spec.payloads.size(), 1u);
  const PayloadSpecT& body = *test->spec.payloads[0];
  EXPECT_EQ(test->spec.body, body.name);
  EXPECT_EQ(body.binary, kSample);
  EXPECT_EQ(body.host_path[0], '/');
  EXPECT_EQ(body.args, (std::vector<std::string>{"--ktstr-run", "pinned_crash"}));
  EXPECT_GT(body.timeout_ns, test->spec.duration_ns);
}

TEST(TestProgram, AnErrorNamesTheCppFileAndLineOfItsTest) {
  ::setenv("KTSTR_SAMPLE_BAD_PIN", "1", 1);
  auto tests = load_tests_of(kSample, {});
  ::unsetenv("KTSTR_SAMPLE_BAD_PIN");
  ASSERT_FALSE(tests);
  const std::string error = tests.error().to_string();
  EXPECT_NE(error.find("sample_tests.cc:"), std::string::npos) << error;
  EXPECT_NE(error.find("expect_scx_bpf_error_contains"), std::string::npos) << error;
  EXPECT_EQ(error.find(kSample + ":"), std::string::npos)
      << "lines of the list mean nothing to an author: " << error;
}

TEST(TestProgram, AProgramThatTellsNoTestsIsNoTestBinary) {
  auto tests = load_tests_of("/bin/true", {});
  ASSERT_FALSE(tests);
  EXPECT_NE(tests.error().message().find("--ktstr-list"), std::string::npos);
  EXPECT_NE(tests.error().hint().find("ktstr/test.h"), std::string::npos);
}

TEST(TestProgram, AnythingElseIsReadAsASpec) {
  TempDirForTest dir;
  auto tests = load_tests_of(dir.write("a.toml", "[[test]]\nname = \"t\"\n"), {});
  ASSERT_TRUE(tests) << tests.error().to_string();
  EXPECT_TRUE((*tests)[0].spec.body.empty());
  EXPECT_FALSE(load_tests_of(dir / "not-there", {}));
}

}  // namespace
}  // namespace ktstr
