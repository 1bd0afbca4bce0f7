// ktstr-launch repro LOG: repeats a recorded crash; only the repro VM boots.
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/prepared_run.h"
#include "launcher/cli/run_end.h"
#include "launcher/cli/run_plan.h"
#include "launcher/cli/spec_files.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/kernel/kernel_resolve.h"
#include "launcher/run/run_session.h"
#include "launcher/vm/accelerator.h"
#include "launcher/vm/host_speed.h"
#include "schemas/exit_code.h"
#include "schemas/guest_paths.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "spec/filter.h"
#include "spec/spec.h"

namespace ktstr {

int repro_command(const ReproCommandOptions& options) {
  auto cache_dir = kernel_cache_dir();
  if (!cache_dir) return report_error(cache_dir.error(), kUsage);
  auto recorded = read_recorded_run(
      {.log = options.log, .store = std::filesystem::path(*cache_dir).parent_path().string() + "/files"});
  if (!recorded) return report_error(recorded.error(), kUsage);
  const KernelInfoT* kernel = recorded->started.kernel.get();
  if (!kernel) return report_error(Error::invalid(options.log + ": does not tell the kernel"), kUsage);
  std::string wish = options.run.kernels.empty() ? "" : options.run.kernels.back();
  if (wish.empty()) {
    auto cached = KernelCache(*cache_dir).find(kernel->release);
    if (cached && !*cached)
      return report_error(
          Error::not_found("the kernel " + printable(kernel->release) + " of this run is not cached")
              .with_hint("ktstr-launch kernel fetch " + printable(kernel->release) +
                         "; or name its image with --kernel"),
          kUsage);
    wish = kernel->release;
  }

  PreparedRun prepared(options.run);
  RunEnvironment& env = prepared.env();
  env.recorded = &*recorded;
  if (recorded->started.determinism) env.determinism = *recorded->started.determinism;
  auto image = kernel_for(wish, *cache_dir);
  if (!image) return report_error(image.error(), kUsage);
  env.kernel = std::move(*image);
  if (options.run.kernels.empty()) env.kernel.origin = "as recorded";
  if (env.kernel.release != kernel->release)
    return report_error(
        Error::invalid("the run was on " + printable(kernel->release) + ", this is " + env.kernel.release),
        kUsage);
  if (auto failure = prepared.prepare(*cache_dir)) return report_error(failure->error, failure->code);
  prepared.progress().clear();
  prepared.progress().say("repeating " + printable(recorded->started.run_id) + " on " + env.kernel.release +
                          ", " + env.accelerator.name);
  prepared.catch_signals();
  auto result = run_test(*recorded->started.spec, env);
  if (!result) return report_error(result.error(), kInfra);
  ExitCode code = result->code;
  std::vector<EndedTest> ended;
  EndedTest test{.name = recorded->started.spec->name};
  test.tries.push_back({.result = std::move(*result)});
  ended.push_back(std::move(test));
  return PreparedRun::end(ended, code, {});
}

}  // namespace ktstr
