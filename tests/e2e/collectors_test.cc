// examples/collectors on a live VM: each is one command, and its words are in the report.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

using std::chrono::milliseconds;

std::string example(const std::string& name) {
  return std::string(KTSTR_SOURCE) + "/examples/collectors/" + name;
}

TEST(Collectors, NumbersBecomeSeriesAndFilesComeOutOfTheGuest) {
  Scratch scratch;
  const std::string runtime_dir = scratch.path() + "/rt", out = scratch.path() + "/out";
  std::filesystem::create_directory(runtime_dir);
  const std::vector<std::string> env = {"XDG_RUNTIME_DIR=" + runtime_dir,
                                        "KTSTR_LAUNCH=" + std::string(KTSTR_BIN) + "/ktstr-launch"};
  const std::string spec = scratch.write("spec.toml", spec_text({.scheduler = "scx_demo",
                                                                 .args = "\"--fail-after\", \"1000000000\"",
                                                                 .test = "kernel_args = [\"psi=1\"]",
                                                                 .duration_s = 600}));
  Running run(scratch, launch_argv({"run", spec, "--out", out}), env);
  ASSERT_TRUE(wait_until([&] { return run.err().find("workload running") != std::string::npos; }, kRunLimit))
      << run.err();
  auto attach = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"attach", "latest", "--name"});
    return std::make_unique<Running>(scratch, launch_argv(std::move(args)), env);
  };
  std::vector<std::unique_ptr<Running>> lasting;
  lasting.push_back(attach({"vmstat", "--metrics", "--", example("host-vmstat")}));
  lasting.push_back(attach({"pressure", "--guest", "--metrics", "--", example("guest-pressure")}));
  lasting.push_back(attach({"schedstat", "--guest", "--metrics", "--", example("guest-schedstat")}));

  // A file of the guest, with a command and without; one that is not there.
  const std::string local = scratch.path() + "/trace";
  auto written = attach({"writer", "--guest", "--fetch", "/tmp/big=" + local, "--", "/bin/busybox", "sh",
                         "-c", "head -c 3000000 /dev/zero | tr '\\0' x >/tmp/big"})
                     ->finish();
  EXPECT_EQ(written.exit_code, 0) << written.err;
  EXPECT_NE(written.err.find("fetched /tmp/big: 3000000 bytes"), std::string::npos) << written.err;
  EXPECT_EQ(read_file(local), std::string(3'000'000, 'x'));
  auto alone = attach({"version", "--guest", "--fetch", "/proc/version=" + local + "2"})->finish();
  EXPECT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_EQ(read_file(local + "2").substr(0, 13), "Linux version");
  auto missing = attach({"missing", "--guest", "--fetch", "/no/such/file"})->finish();
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_NE(missing.err.find("/no/such/file: No such file"), std::string::npos) << missing.err;

  // What a program lacked is named, and brought by --file.
  const std::string data = scratch.write("data", "brought along");
  auto lacking = attach({"lacking", "--guest", "--", "cat", data})->finish();
  EXPECT_EQ(lacking.exit_code, 1);
  EXPECT_NE(lacking.err.find("lacked " + data + " in the guest; this host has it: --file"), std::string::npos)
      << lacking.err;
  auto brought = attach({"brought", "--guest", "--file", data, "--", "cat", data})->finish();
  EXPECT_EQ(brought.exit_code, 0) << brought.err;
  EXPECT_EQ(brought.out, "brought along\n");

  // Two lines of each make a series.
  const std::string log = out + "/t/events.ktlog";
  auto lines_of = [&](std::string_view name) {
    size_t lines = 0;
    for (const EventBuffer& e : read_log(log))
      if (auto* line = e.as<CollectorLine>()) lines += str(line->name()) == name || str(e->source()) == name;
    return lines;
  };
  for (const char* name : {"vmstat", "pressure", "schedstat"})
    EXPECT_TRUE(wait_until([&] { return lines_of(name) >= 2; }, milliseconds(120'000))) << name;
  run.signal(SIGINT);
  run.finish();
  for (auto& one : lasting) one->finish(milliseconds(60'000));
  const std::string report = read_file(out + "/t/report.txt");
  for (const char* text : {"metrics of collectors:", "vmstat us ", "pressure (guest) cpu.some.avg10",
                           "schedstat (guest) cpu1.run", "[brought (guest)] brought along"})
    EXPECT_NE(report.find(text), std::string::npos) << text << "\n" << report;
  EXPECT_EQ(launch(scratch, {"replay", log}).out, report);
}

TEST(Collectors, OptionsThatDoNotGoTogetherAreToldBeforeAnythingRuns) {
  Scratch scratch;
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{
           {"attach", "latest", "--name", "x"},
           {"attach", "latest", "--name", "x", "--fetch", "/tmp/x", "--", "true"},
           {"attach", "latest", "--name", "x", "--file", "/tmp/x", "--", "true"}})
    EXPECT_EQ(launch(scratch, args).exit_code, 2);
}

}  // namespace
}  // namespace ktstr::e2e
