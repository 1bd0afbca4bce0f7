// ktstr-reporter over the logs of several tests: the documents of a run, its summary, its exit code.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/run_plan.h"

namespace ktstr {

struct RunEnvironment;

// What a run is about to do: who reads its logs later can tell what is missing. ARTIFACTS/plan-RUN_ID.json.
Result<std::string> write_plan(const RunEnvironment& environment, const TestPlan& plan,
                               const std::vector<size_t>& order);

struct RecordedFiles {
  std::vector<std::string> logs, plans;
  // Logs of bundles, without a name on the disk: `logs` has them as /proc/self/fd/N.
  std::vector<UniqueFd> unpacked;
};
// The logs and the plans that the paths name: files, bundles, and what is below folders, sorted. kNotFound: a path that is not there.
Result<RecordedFiles> recorded_files(const std::vector<std::string>& paths);

struct ReporterRequest {
  RecordedFiles files;
  DocumentOptions documents;
  std::string format = "none";  // what goes to stdout beside the documents
  uint64_t until = 0;           // 0: whole logs
  bool annotate = false;        // GitHub's annotations on stdout
  std::string append_markdown;  // a file to which the Markdown is appended (GITHUB_STEP_SUMMARY)
  std::string report_file;      // the format's text also goes here
  int stdout_fd = -1;           // -1: our own
  bool merge = false;  // logs of several runs: what was not finished in one and was in another counts once
};
// The reporter's exit code, which is the verdict of all logs; an error if it did not run.
Result<int> run_reporter(const ReporterRequest& request);

}  // namespace ktstr
