// Drives ktstr-launch as a user does, on real kernels in real VMs. A failed test keeps its folder and says how to
// run the command again.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/child.h"
#include "schemas/envelope.h"

namespace ktstr::e2e {

inline constexpr std::chrono::milliseconds kRunLimit{500'000};

struct RunOutput {
  int exit_code = -1;  // -1: it did not end in time
  std::string out;     // stdout
  std::string err;     // stderr
};

// A folder of one test's own: specs, logs, reports. Kept when the test failed.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

// A command that runs on, for tests that look at it from outside or kill it.
class Running {
 public:
  Running(const Scratch& scratch, std::vector<std::string> argv, std::vector<std::string> env = {});
  pid_t pid() const { return child_.pid(); }
  void signal(int signo) { child_.signal(signo); }
  RunOutput finish(std::chrono::milliseconds limit = kRunLimit);
  bool running() { return !exit_ && !(exit_ = child_.poll()); }
  std::string err() const;

 private:
  std::string out_path_, err_path_;
  Child child_;
  std::optional<ChildExit> exit_;
};

// ktstr-launch with these arguments.
RunOutput launch(const Scratch& scratch, std::vector<std::string> args, std::vector<std::string> env = {});
// The report's first line when the run was not judged because the host ran something else than the guest; empty: it was judged.
// A test whose finding depends on time skips with it.
std::string host_was_too_busy(const RunOutput& run);
// launch(), up to three times until the run is judged. `out`: the run's --out, removed before another try.
RunOutput launch_until_judged(const Scratch& scratch, const std::vector<std::string>& args,
                              const std::string& out);
std::vector<std::string> launch_argv(std::vector<std::string> args);

// A spec with one test that runs `scheduler` (a fixture's name, or a path) under `work`.
struct SpecText {
  std::string name = "t";
  std::string scheduler;  // empty: none
  std::string args;       // TOML array content: "\"--fail-after\", \"100\""
  std::string test;       // further lines of [[test]]
  std::string work = "YieldHeavy";
  int workers = 2;
  double duration_s = 3;
  int cores = 2;
};
std::string spec_text(const SpecText& spec);

std::string read_file(const std::string& path);
std::vector<EventBuffer> read_log(const std::string& path);
// Titles "--- X ---" in the order of the report.
std::vector<std::string> sections(const std::string& report);
// Waits until `condition` holds; false after `limit`.
bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds limit);
// Processes whose command line holds both texts, other than this one: "PID CMDLINE". Give a folder of the test's own:
// somebody else may run ktstr on this machine.
std::vector<std::string> processes_with(const std::string& text, const std::string& also = "");
std::string join(const std::vector<std::string>& lines);

}  // namespace ktstr::e2e
