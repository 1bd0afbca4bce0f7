// ktstr-launch runs: live runs, and what is kept of past ones; runs clean removes some of these.
#include <cstdio>
#include <filesystem>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/run/live_runs.h"
#include "launcher/runner/kept_runs.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

uint64_t bytes_of(const std::vector<KeptRun>& runs) {
  uint64_t sum = 0;
  for (const KeptRun& run : runs) sum += run.bytes;
  return sum;
}

std::string kept_words(const std::vector<KeptRun>& runs) {
  return std::to_string(runs.size()) + (runs.size() == 1 ? " run is kept (" : " runs are kept (") +
         human_bytes(bytes_of(runs)) + ") in " + state_folder(folder_options()) + "/runs";
}

}  // namespace

int runs_command(bool json) {
  auto runs = find_live_runs(folder_options());
  if (json) {
    auto list = nlohmann::json::array();
    for (const auto& r : runs)
      list.push_back({{"run_id", r.run_id},
                      {"pid", r.pid},
                      {"log", r.log},
                      {"bus", r.bus_folder},
                      {"start_ns", r.start_ns},
                      {"replay", r.replay},
                      {"listen", r.listen}});
    std::printf("%s\n", json_text(list, 2).c_str());
    return 0;
  }
  if (runs.empty()) std::fprintf(stderr, "no run is live\n");
  for (const auto& r : runs)
    std::printf("%-40s pid %-8d bus %s  log %s%s%s%s\n", r.run_id.c_str(), r.pid, r.bus_folder.c_str(),
                r.log.c_str(), r.replay ? "  replay" : "", r.listen.empty() ? "" : "  listens at ",
                r.listen.c_str());
  const auto kept = kept_runs(folder_options());
  if (!kept.empty())
    std::fprintf(stderr, "%s; ktstr-launch runs clean --keep N removes the older ones\n",
                 printable(kept_words(kept)).c_str());
  return 0;
}

int runs_clean_command(const RunsCleanOptions& options) {
  if (!options.keep && options.older.empty())
    return report_error(Error::invalid("runs clean: which runs?").with_hint("--keep N, --older 7d, or both"),
                        kUsage);
  CleanRule rule;
  if (options.keep) rule.keep = *options.keep;
  if (!options.older.empty()) {
    auto age = parse_age(options.older);
    if (!age) return report_error(age.error(), kUsage);
    rule.older_than_s = *age;
  }
  rule.now_unix_s = SystemClock().realtime_ns() / kSecond;
  for (const LiveRun& run : find_live_runs(folder_options()))
    rule.live.insert(run.run_id.substr(0, run.run_id.find('/')));
  std::vector<KeptRun> kept = kept_runs(folder_options());
  const std::vector<KeptRun> gone = runs_to_remove(kept, rule);
  int code = 0;
  std::set<std::string> removed;
  for (const KeptRun& run : gone) {
    std::error_code error;
    if (!options.dry_run) std::filesystem::remove_all(run.path, error);
    if (error) {
      code = report_error(Error::system("remove " + run.path + ": " + error.message()), kInfra);
      continue;
    }
    removed.insert(run.id);
  }
  std::printf("%s %zu runs (%s)\n", options.dry_run ? "would remove" : "removed", removed.size(),
              human_bytes(bytes_of(gone)).c_str());
  std::erase_if(kept, [&](const KeptRun& run) { return removed.contains(run.id); });
  std::printf("%s\n", printable(kept_words(kept)).c_str());
  return code;
}

}  // namespace ktstr
