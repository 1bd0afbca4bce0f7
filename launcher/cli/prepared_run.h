// What `run` and `repro` share: the environment of a run, from the options to the caught signals, and its end.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/run_end.h"
#include "launcher/run/progress.h"
#include "launcher/run/run_session.h"
#include "launcher/run/vm_templates.h"
#include "schemas/run_generated.h"
#include "spec/spec.h"

namespace ktstr {

struct Failure {
  Error error;
  int code;  // the process's exit code
};

Result<std::string> kernel_cache_dir();
// The kernel that `wish` (empty: KTSTR_KERNEL, else the newest cached) names.
Result<KernelInfoT> kernel_for(const std::string& wish, const std::string& cache_dir);
// This host: CPUs, memory, kernel.
HostInfoT host_info(const std::string& qemu_version_text);

// The tests that the options name. `with_binaries`: programs and files are looked for, and one that is missing is an error.
Result<std::vector<LoadedTest>> load_tests(const RunCommandOptions& options, bool with_binaries = true);

// A run of `ktstr-launch run` or `repro` in this process. Its parts live as long as it does: it is neither copied nor moved.
class PreparedRun {
 public:
  explicit PreparedRun(const RunCommandOptions& options);
  PreparedRun(const PreparedRun&) = delete;
  PreparedRun& operator=(const PreparedRun&) = delete;

  RunEnvironment& env() { return env_; }
  Progress& progress() { return progress_; }

  // QEMU, accelerator, the host's speed and the run's folders: the same for all tests. REQUIRES: env().kernel is set.
  std::optional<Failure> prepare(const std::string& cache_dir);
  // QEMU and accelerator alone; `measure`: the host's speed, too.
  std::optional<Failure> prepare_machine(const std::string& cache_dir, bool measure);
  // From here on SIGINT, SIGTERM and SIGHUP arrive through env().signal_fd, and VMs may come from templates.
  void catch_signals();

  // Prints the last lines of the run; returns the process's exit code.
  static int end(const std::vector<EndedTest>& ended, ExitCode code, const RunEndOptions& options);

 private:
  std::optional<Failure> find_machine(const std::string& cache_dir, bool measure);
  void set_switches();

  const RunCommandOptions& options_;
  SystemClock clock_;
  LineProgress progress_;
  RunEnvironment env_;
  std::optional<VmTemplates> templates_;
  UniqueFd signals_;
};

}  // namespace ktstr
