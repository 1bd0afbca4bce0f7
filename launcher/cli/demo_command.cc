// ktstr-launch demo: a real crash and its report, on a machine that has nothing but this program's package.
#include <cstdio>
#include <filesystem>

#include "launcher/cli/command_line.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

// Where it is installed, and where it lies in the source tree that this program was built in.
constexpr const char* kPlaces[] = {"/../share/ktstr/demo/demo.toml", "/../../../examples/demo.toml"};

}  // namespace

int demo_command(RunCommandOptions options) {
  std::error_code ec;
  for (const char* place : kPlaces)
    if (std::string path = program_folder() + place;
        options.specs.empty() && std::filesystem::exists(path, ec))
      options.specs.push_back(std::filesystem::path(path).lexically_normal().string());
  if (options.specs.empty())
    return report_error(Error::not_found("the demo's spec is not installed beside " + program_folder()),
                        kInfra);
  if (options.kernels.empty() && env_value("KTSTR_KERNEL").empty() && !any_kernel()) {
    std::fprintf(stderr, "fetching a kernel from the distribution's archive\n");
    if (const int code = kernel_fetch_command({}); code != 0) return code;
  }
  const int code = run_command(options);
  // A crash is what the demo is for: a found one is its success.
  if (code == exit_code(ExitCode::kTestFailed)) return 0;
  if (code == 0) return report_error(Error::system("the demo's scheduler did not crash"), kInfra);
  return code;
}

}  // namespace ktstr
