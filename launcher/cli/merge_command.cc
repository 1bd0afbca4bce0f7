// ktstr-launch merge DIR…: any number of runs, of one machine or of many, as one: summary, exit code, documents.
#include "launcher/cli/command_line.h"
#include "launcher/cli/documents.h"
#include "schemas/exit_code.h"

namespace ktstr {

int merge_command(const MergeCommandOptions& options) {
  auto files = recorded_files(options.paths);
  if (!files) return report_error(files.error(), kUsage);
  auto code = run_reporter(
      {.files = std::move(*files), .documents = options.documents, .format = "summary", .merge = true});
  return code ? *code : report_error(code.error(), kInfra);
}

}  // namespace ktstr
