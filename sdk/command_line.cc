// main() of a test binary, and its three lives: on the host it lists its tests, in the VM it runs one, called
// by a person it hands itself to ktstr-launch.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "base/standard_fds.h"
#include "schemas/exit_code.h"
#include "schemas/helper_flags.h"
#include "sdk/body_context.h"
#include "sdk/registry.h"

namespace ktstr {
namespace {

constexpr int kUsage = 2;

std::vector<RegisteredTest>& registry() {
  static std::vector<RegisteredTest> tests;  // filled before main()
  return tests;
}

int list_tests() {
  auto tests = registered_tests();
  auto list = list_as_toml(tests);
  if (!list) {
    std::fprintf(stderr, "%s\n", list.error().to_string().c_str());
    return kUsage;
  }
  std::fputs(list->c_str(), stdout);
  if (auto closed = close_stdout(); !closed) {
    std::fprintf(stderr, "%s\n", closed.error().to_string().c_str());
    return exit_code(ExitCode::kInfrastructure);
  }
  return 0;
}

TestResult call(const RegisteredTest& test, TestContext& ctx) {
  try {
    return test.body(ctx);
  } catch (const std::exception& e) {
    return fail(std::string("the body threw: ") + e.what());
  } catch (...) {
    return fail("the body threw something that is no std::exception");
  }
}

int run_body(const std::string& name) {
  const RegisteredTest* test = find_test(name);
  if (!test) {
    std::fprintf(stderr, "no test is called %s\n", name.c_str());
    return kUsage;
  }
  auto impl = TestContext::Impl::open(*test);
  if (!impl) {
    std::fprintf(stderr, "%s\n", impl.error().to_string().c_str());
    return kUsage;
  }
  catch_stop_request();
  TestContext ctx(std::move(impl).value());
  TestResult result = call(*test, ctx);
  ctx.impl().stop_all();
  if (result.verdict == TestVerdict::kPass && ctx.failed_checks() > 0)
    result = fail(std::to_string(ctx.failed_checks()) + (ctx.failed_checks() == 1 ? " check" : " checks") +
                  " of the body failed");
  // The reported checks count; the exit code is for a body that could not report.
  const bool told = ctx.impl().send_result(result);
  return !told && result.verdict == TestVerdict::kFail ? 1 : 0;
}

// Called by a person: run the tests as they would be run anyway.
int hand_to_launcher(int argc, char** argv) {
  const char* launch = std::getenv("KTSTR_LAUNCH");
  char self[4096];
  const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self - 1);
  self[std::max<ssize_t>(n, 0)] = 0;
  std::vector<char*> args = {const_cast<char*>(launch && *launch ? launch : "ktstr-launch"),
                             const_cast<char*>("run"), self};
  for (int i = 1; i < argc; ++i) args.push_back(argv[i]);
  args.push_back(nullptr);
  ::execvp(args[0], args.data());
  std::fprintf(stderr, "a ktstr test binary; run it with: ktstr-launch run %s\n(%s: %s)\n", self, args[0],
               std::strerror(errno));
  return kUsage;
}

}  // namespace

bool register_test(const char* name, const char* file, unsigned line, TestOptions (*options)(),
                   TestBody body) {
  registry().push_back({name, file, line, options, body});
  return true;
}

const std::vector<RegisteredTest>& registered_tests() {
  auto& tests = registry();
  std::stable_sort(tests.begin(), tests.end(), [](const RegisteredTest& a, const RegisteredTest& b) {
    return std::tie(a.file, a.line) < std::tie(b.file, b.line);
  });
  return tests;
}

const RegisteredTest* find_test(const std::string& name) {
  for (const RegisteredTest& test : registry())
    if (test.name == name) return &test;
  return nullptr;
}

int test_main(int argc, char** argv) {
  secure_standard_fds();
  if (argc == 2 && std::string_view(argv[1]) == kListTestsFlag) return list_tests();
  if (argc == 3 && std::string_view(argv[1]) == kRunBodyFlag) return run_body(argv[2]);
  return hand_to_launcher(argc, argv);
}

}  // namespace ktstr
