#include "launcher/cli/search_options.h"

#include <signal.h>

#include <random>

#include "base/clock.h"
#include "launcher/cli/command_line.h"
#include "launcher/run/folders.h"
#include "schemas/exit_code.h"

namespace ktstr {

Result<std::string> search_folder(const std::string& out) {
  FolderOptions options = folder_options();
  options.out = out;
  options.run_id = make_run_id(SystemClock().realtime_ns(), std::random_device{}());
  return make_artifact_folder(options);
}

int signal_exit_code(int signal) {
  return exit_code(signal == SIGINT ? ExitCode::kInterrupted : ExitCode::kTerminated);
}

}  // namespace ktstr
