// ktstr-launch replay LOG: the report of a recorded run, by the reporter itself.
#include <unistd.h>

#include "launcher/cli/command_line.h"
#include "runtime/result.h"
#include "schemas/exit_code.h"

namespace ktstr {

int replay_command(const ReplayCommandOptions& options) {
  std::vector<std::string> args = {program_folder() + "/ktstr-reporter", options.log, "--format", options.format};
  if (options.until != 0) {
    args.push_back("--until");
    args.push_back(std::to_string(options.until));
  }
  std::vector<char*> argv;
  for (auto& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  return report_error(Error::from_errno("start " + args[0]), exit_code(ExitCode::kInfrastructure));
}

}  // namespace ktstr
