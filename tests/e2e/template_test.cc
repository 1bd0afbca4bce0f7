// VMs that are restored from a template instead of booted: the same results, their own clock and random state, and a boot
// wherever there is a doubt.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "schemas/event_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "schemas/workload_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

namespace fs = std::filesystem;

// A cache with the user's kernels and no template.
class Template : public testing::Test {
 protected:
  void SetUp() override {
    const char* xdg = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    const std::string real =
        (xdg != nullptr && xdg[0] == '/' ? std::string(xdg) : std::string(home ? home : "") + "/.cache") +
        "/ktstr";
    fs::create_directories(cache_);
    for (const char* name : {"kernels", "accelerator"})
      if (fs::exists(real + "/" + name)) fs::create_directory_symlink(real + "/" + name, cache_ + "/" + name);
  }
  RunOutput run(std::vector<std::string> args) {
    const std::string out = scratch_.path() + "/out" + std::to_string(++runs_);
    args.insert(args.begin(), "run");
    args.insert(args.end(), {"--out", out});
    auto output = launch(scratch_, args, env_);
    for (const auto& test : fs::directory_iterator(out))
      if (test.is_directory()) folder_ = test.path();
    log_ = read_log(folder_ + "/events.ktlog");
    report_ = read_file(folder_ + "/report.txt");
    return output;
  }
  std::vector<fs::path> templates() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(cache_ + "/templates"))
      if (entry.path().extension() == ".ktvm") found.push_back(entry.path());
    return found;
  }
  template <typename T>
  const T* event() const {
    for (const auto& e : log_)
      if (const T* fact = e.as<T>()) return fact;
    return nullptr;
  }
  std::vector<std::string> payload_lines() const {
    std::vector<std::string> lines;
    for (const auto& e : log_)
      if (auto* line = e.as<PayloadLine>()) lines.emplace_back(str(line->text()));
    return lines;
  }

  Scratch scratch_;
  std::string cache_ = scratch_.path() + "/cache/ktstr", folder_, report_;
  std::vector<std::string> env_ = {"XDG_CACHE_HOME=" + scratch_.path() + "/cache", "KTSTR_NO_TEMPLATE="};
  std::vector<EventBuffer> log_;
  int runs_ = 0;
};

// What a log says, less how often.
struct Gist {
  std::set<Payload> events;
  std::set<std::string> counters, absent;
  std::vector<std::string> sections;
  std::string signature;
};
Gist gist_of(const std::vector<EventBuffer>& log, const std::string& report) {
  Gist gist;
  gist.sections = sections(report);
  for (const auto& e : log) {
    // A warning of the kernel may come on a loaded host, however the VM began.
    if (e.type() != Payload::KernelFault) gist.events.insert(e.type());
    if (auto* verdict = e.as<Verdict>()) gist.signature = str(verdict->signature());
    if (auto* attached = e.as<MonitorAttached>(); attached && attached->absent())
      for (const auto* name : *attached->absent()) gist.absent.insert(name->str());
  }
  return gist;
}

TEST_F(Template, ARestoredRunReportsWhatOneThatBootsReports) {
  const std::string spec = scratch_.write(
      "spec.toml", spec_text({.scheduler = "scx_demo", .args = "\"--fail-after\", \"200\"", .cores = 4}));
  auto restored = run({spec});
  EXPECT_EQ(restored.exit_code, 1) << restored.err;
  EXPECT_NE(restored.err.find("making a template"), std::string::npos) << restored.err;
  EXPECT_NE(report_.find("\nvm:         template ("), std::string::npos) << report_;
  EXPECT_NE(report_.find("; repro VM: template ("), std::string::npos) << report_;
  const Gist from_template = gist_of(log_, report_);
  ASSERT_EQ(templates().size(), 1u);
  EXPECT_LT(fs::file_size(templates()[0]), 120'000'000u);

  auto booted = run({spec, "--no-template"});
  EXPECT_EQ(booted.exit_code, 1) << booted.err;
  EXPECT_NE(report_.find("\nvm:         cold boot ("), std::string::npos) << report_;
  const Gist cold = gist_of(log_, report_);
  EXPECT_EQ(from_template.sections, cold.sections);
  EXPECT_EQ(from_template.signature, cold.signature);
  EXPECT_NE(cold.signature, "");
  EXPECT_EQ(from_template.absent, cold.absent);
  // A restored kernel is seen to have booted long ago: nothing else may be missing.
  for (Payload type : cold.events) EXPECT_TRUE(from_template.events.contains(type)) << payload_name(type);
  for (Payload type : from_template.events) EXPECT_TRUE(cold.events.contains(type)) << payload_name(type);
}

TEST_F(Template, TwoVmsOfOneTemplateHaveTheirOwnRandomStateAndTheHostsClock) {
  const std::string spec = scratch_.write(
      "spec.toml",
      "[[test]]\nname = \"t\"\nduration_s = 1\n  [[test.payload]]\n  name = \"p\"\n  binary = \"/bin/sh\"\n  "
      "timeout_s = 60\n"
      "  args = [\"-c\", \"cd /proc/sys/kernel/random; read u < uuid; echo $u; read b < boot_id; echo $b; "
      "read up rest < "
      "/proc/uptime; echo $up; while read k v; do [ $k = btime ] && echo $v; done < /proc/stat; exit 0\"]\n");
  std::vector<std::vector<std::string>> said;
  for (int i = 0; i < 2; ++i) {
    auto output = run({spec});
    ASSERT_EQ(output.exit_code, 0) << output.out << output.err;
    ASSERT_NE(event<VmStarted>(), nullptr);
    EXPECT_NE(str(event<VmStarted>()->template_()), "") << output.err;
    said.push_back(payload_lines());
    ASSERT_EQ(said.back().size(), 4u) << join(said.back());
    // btime is the wall clock less the uptime.
    double host_s = 0;
    for (const auto& e : log_)
      if (e.as<PayloadLine>()) host_s = static_cast<double>(e->stamp()->host_ns()) / 1e9;
    host_s += static_cast<double>(event<RunStarted>()->start_unix_ns()) / 1e9;
    const double guest_s = std::stod(said.back()[3]) + std::stod(said.back()[2]);
    EXPECT_LT(std::abs(guest_s - host_s), 30) << "its clock stood still since the template was made";
  }
  ASSERT_EQ(templates().size(), 1u);
  EXPECT_NE(said[0][0], said[1][0]) << "uuid";
  EXPECT_NE(said[0][1], said[1][1]) << "boot id";
}

TEST_F(Template, ADamagedOneIsABootWithAWarningAndAnotherVmHasItsOwn) {
  const std::string spec = scratch_.write("spec.toml", "[[test]]\nname = \"t\"\nduration_s = 0.2\n");
  ASSERT_EQ(run({spec}).exit_code, 0) << report_;
  ASSERT_EQ(templates().size(), 1u);
  const fs::path damaged = templates()[0];
  {
    std::fstream file(damaged, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(fs::file_size(damaged) / 2));
    file << "damage";
  }
  auto booted = run({spec});
  EXPECT_EQ(booted.exit_code, 0) << booted.out << booted.err;
  EXPECT_NE(booted.err.find("warning: the VM boots: "), std::string::npos) << booted.err;
  EXPECT_NE(booted.err.find("the template is damaged"), std::string::npos) << booted.err;
  ASSERT_NE(event<VmStarted>(), nullptr);
  EXPECT_EQ(str(event<VmStarted>()->template_()), "");
  EXPECT_TRUE(templates().empty()) << "the next run makes a sound one";

  const std::string other =
      scratch_.write("other.toml", "[[test]]\nname = \"t\"\nduration_s = 0.2\nkernel_args = [\"audit=0\"]\n");
  ASSERT_EQ(run({spec}).exit_code, 0);
  ASSERT_EQ(templates().size(), 1u);
  ASSERT_EQ(run({other}).exit_code, 0);
  EXPECT_EQ(templates().size(), 2u);
  auto list = launch(scratch_, {"template", "list"}, env_);
  EXPECT_EQ(std::count(list.out.begin(), list.out.end(), '\n'), 2) << list.out;
  EXPECT_EQ(launch(scratch_, {"template", "clean"}, env_).exit_code, 0);
  EXPECT_TRUE(fs::is_empty(cache_ + "/templates"));
}

}  // namespace
}  // namespace ktstr::e2e
