// What a scheduler needs to start: lists appended, tables merged, places filled in, mistakes told.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "schemas/spec_generated.h"
#include "spec/spec.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

class AnyBinary : public BinaryFinder {
 public:
  Result<std::string> find(const std::string& binary, const std::string& spec_path) const override {
    asked.emplace_back(binary, spec_path);
    if (binary.starts_with("missing")) return Error::not_found(binary + " is nowhere");
    return "/bin/" + binary;
  }
  mutable std::vector<std::pair<std::string, std::string>> asked;
};

class StartTest : public testing::Test {
 protected:
  StartTest() : folder_(fs::temp_directory_path() / ("ktstr_start_test." + std::to_string(::getpid()))) {
    fs::create_directories(folder_ / "data");
    for (const char* name : {"layers.json", "data/more.bin"}) std::ofstream(folder_ / name) << name;
  }
  ~StartTest() override { fs::remove_all(folder_); }

  Result<std::vector<LoadedTest>> parse(std::string_view text) {
    return parse_tests(text, (folder_ / "s.toml").string(),
                       {.binaries = &finder_, .environment = [this](const std::string& name) {
                          auto found = environment_.find(name);
                          return found == environment_.end() ? std::string() : found->second;
                        }});
  }
  // The only test of a spec that must be good.
  TestSpecT one(std::string_view text) {
    auto tests = parse(text);
    EXPECT_TRUE(tests) << tests.error().message();
    return tests ? std::move(tests->front().spec) : TestSpecT();
  }
  std::string refusal(std::string_view text) {
    auto tests = parse(text);
    return tests ? "(accepted)" : tests.error().message();
  }

  fs::path folder_;
  AnyBinary finder_;
  std::map<std::string, std::string> environment_;
};

std::string pairs_text(const std::vector<std::unique_ptr<KeyValueT>>& pairs) {
  std::string out;
  for (const auto& pair : pairs) out += pair->key + "=" + pair->value + " ";
  return out;
}

constexpr char kLayers[] = R"(
[default]
kernel_args = ["a"]
sysctl = { "kernel.x" = 1, "kernel.y" = "two" }
[scheduler.big-one]
binary = "scx_big"
args = ["-v", "--layers", "{files}/layers.json"]
extra_args = ["--one"]
files = ["layers.json"]
env = { RUST_LOG = "info", WHERE = "{files}" }
kernels = [">=6.18"]
kernel_args = ["b=1"]
build = "make scx_big"
[[test]]
name = "t"
scheduler = "big-one"
extra_args = ["--two", "3"]
files = ["data/more.bin", "layers.json"]
env = { RUST_LOG = "debug" }
sysctl = { "kernel.y" = -2 }
kernels = ["<7.3"]
  [[test.payload]]
  name = "p"
  binary = "cat"
  args = ["{files}/more.bin"]
)";

TEST_F(StartTest, ListsAreAppendedAndTablesMergedByKey) {
  const TestSpecT t = one(kLayers);
  EXPECT_EQ(t.scheduler->args,
            (std::vector<std::string>{"-v", "--layers", "/ktstr/files/layers.json", "--one", "--two", "3"}));
  EXPECT_EQ(t.kernel_args, (std::vector<std::string>{"a", "b=1"}));
  EXPECT_EQ(t.kernels, (std::vector<std::string>{">=6.18", "<7.3"}));
  EXPECT_EQ(pairs_text(t.sysctl), "kernel.x=1 kernel.y=-2 ");
  EXPECT_EQ(pairs_text(t.scheduler->env), "RUST_LOG=debug WHERE=/ktstr/files ");
  EXPECT_EQ(t.scheduler->build, "make scx_big");
  EXPECT_EQ(t.payloads[0]->args[0], "/ktstr/files/more.bin");
  ASSERT_EQ(t.files.size(), 2u) << "one that both name comes once";
  EXPECT_EQ(t.files[0]->host_path, (folder_ / "layers.json").string());
  EXPECT_EQ(t.files[1]->guest_path, "/ktstr/files/more.bin");
}

TEST_F(StartTest, ShowTellsWhatTheLayersSayTogether) {
  auto tests = parse(kLayers);
  ASSERT_TRUE(tests);
  std::map<std::string, std::string> values;
  for (const Setting& setting : tests->front().settings) values[setting.name] = setting.value;
  EXPECT_EQ(values["sysctl"], R"({ "kernel.x" = "1", "kernel.y" = "-2" })");
  EXPECT_EQ(values["kernels"], R"([">=6.18", "<7.3"])");
}

TEST_F(StartTest, AConfigIsAFileThatAnArgumentNames) {
  auto args = [&](const std::string& lines) {
    return one("[scheduler.s]\nbinary = \"scx_s\"\nargs = [\"-v\"]\nconfig = '{\"at\": \"{files}\"}'\n" +
               lines + "\n[[test]]\nname = \"t\"\nscheduler = \"s\"\n")
        .scheduler->args;
  };
  using Args = std::vector<std::string>;
  EXPECT_EQ(args("config_arg = \"--config\""), (Args{"-v", "--config", "/ktstr/config/s"}));
  EXPECT_EQ(args("config_arg = \"--config=\""), (Args{"-v", "--config=/ktstr/config/s"}));
  EXPECT_EQ(args("config_arg = \"f:\""), (Args{"-v", "f:/ktstr/config/s"}));
  EXPECT_EQ(args("config_arg = \"\""), (Args{"-v", "/ktstr/config/s"}));
  EXPECT_EQ(args("extra_args = [\"-c{config}\"]"), (Args{"-v", "-c/ktstr/config/s"}));
  const TestSpecT t =
      one("[scheduler.s]\nbinary = \"scx_s\"\nconfig_arg = \"-c\"\nenv = { AT = \"{config}\" }\n"
          "[[test]]\nname = \"t\"\nscheduler = \"s\"\nconfig = '{\"at\": \"{files}\"}'\n");
  EXPECT_EQ(t.scheduler->config, "{\"at\": \"/ktstr/files\"}");
  EXPECT_EQ(pairs_text(t.scheduler->env), "AT=/ktstr/config/s ");
  // Without a config there is no argument for one.
  EXPECT_TRUE(one("[scheduler.s]\nbinary = \"scx_s\"\nconfig_arg = \"-c\"\n[[test]]\nname = \"t\"\nscheduler "
                  "= \"s\"\n")
                  .scheduler->args.empty());
}

TEST_F(StartTest, TheEnvironmentMayNameTheBinary) {
  EXPECT_EQ(scheduler_variable("big-one"), "KTSTR_SCHEDULER_BIG_ONE");
  environment_["KTSTR_SCHEDULER_BIG_ONE"] = "build/scx_other";
  const TestSpecT t = one(kLayers);
  EXPECT_EQ(t.scheduler->binary, "build/scx_other");
  EXPECT_EQ(t.scheduler->chosen_by, "KTSTR_SCHEDULER_BIG_ONE");
  EXPECT_EQ(t.scheduler->guest_path, "/ktstr/sched/scx_other");
  EXPECT_EQ(finder_.asked.back().second.empty(), false) << "payloads are looked for beside the spec";
  EXPECT_TRUE(std::any_of(finder_.asked.begin(), finder_.asked.end(), [](const auto& a) {
    return a.first == "build/scx_other" && a.second.empty();
  })) << "and this from the current folder";
  environment_["KTSTR_SCHEDULER_BIG_ONE"] = "missing/scx";
  EXPECT_NE(refusal(kLayers).find("KTSTR_SCHEDULER_BIG_ONE: missing/scx is nowhere"), std::string::npos);
}

TEST_F(StartTest, MemoryGrowsWithTheCpus) {
  auto memory = [&](const std::string& lines) { return one("[[test]]\nname = \"t\"\n" + lines).memory_mb; };
  EXPECT_EQ(memory(""), 1024u);
  EXPECT_EQ(memory("llcs = 4\ncores = 16\n"), 128u + 64 * 24);
  EXPECT_EQ(memory("memory_mb = 256\ncores = 8\n"), 128u + 8 * 24);
  EXPECT_EQ(memory("memory_mb = 8192\nllcs = 4\ncores = 16\n"), 8192u);
}

TEST_F(StartTest, MistakesAreToldWithTheirLines) {
  const std::string head = "[scheduler.s]\nbinary = \"scx_s\"\n",
                    tail = "[[test]]\nname = \"t\"\nscheduler = \"s\"\n";
  const std::pair<std::string, std::string> kCases[] = {
      {head + "files = [\"missing.json\"]\n" + tail, "s.toml:3: files: \"missing.json\" not found"},
      {head + "files = [\"data\"]\n" + tail, "s.toml:3: files: \"data\" is a folder"},
      {head + "files = [\"data/\"]\n" + tail, "s.toml:3: files: \"data/\" names no file"},
      {head + "files = [\"layers.json\", \"data/../layers.json\"]\n" + tail, "have the same name in the VM"},
      {head + "config = \"x\"\n" + tail, "s.toml:3: config: no argument names the file"},
      {head + "env = { \"A=B\" = \"x\" }\n" + tail, "s.toml:3: env: \"A=B\" is no name of a variable"},
      {head + "env = [\"A=B\"]\n" + tail, "\"env\" wants a table of texts and numbers, has an array"},
      {head + "env = { A = [1] }\n" + tail, "\"env\" wants a text, a number, true or false, has an array"},
      {head + "sysctl = { \"../etc/passwd\" = 1 }\n" + tail,
       "s.toml:3: sysctl: \"../etc/passwd\" is no name of a setting"},
      {head + "kernel_args = [\"a b\"]\n" + tail, "s.toml:3: kernel_args: \"a b\" is not one word"},
      {head + "kernel_args = [\"rdinit=/bin/sh\"]\n" + tail, "this word is ktstr's"},
      {head + "kernels = [\"newest\"]\n" + tail,
       "s.toml:3: kernels: \"newest\" is no condition on a kernel's version"},
      {"[[test]]\nname = \"t\"\nextra_args = [\"x\"]\n",
       "s.toml:3: extra_args in a test without a scheduler"},
      {"[[test]]\nname = \"t\"\nbuild = \"make\"\n", "s.toml:3: build in a test without a scheduler"},
  };
  for (const auto& [text, wanted] : kCases) {
    const std::string message = refusal(text);
    EXPECT_NE(message.find(wanted), std::string::npos) << "wanted: " << wanted << "\nfound: " << message;
  }
}

TEST_F(StartTest, AConfigMayBeLongAndIsBounded) {
  auto spec = [](size_t bytes) {
    return "[scheduler.s]\nbinary = \"scx_s\"\nconfig_arg = \"\"\nconfig = '" + std::string(bytes, 'x') +
           "'\n[[test]]\nname = \"t\"\nscheduler = \"s\"\n";
  };
  EXPECT_EQ(one(spec(200'000)).scheduler->config.size(), 200'000u);
  EXPECT_NE(refusal(spec(300'000)).find("is longer than 262144 bytes"), std::string::npos);
}

}  // namespace
}  // namespace ktstr
