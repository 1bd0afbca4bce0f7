#include "launcher/run/live_runs.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "base/small_files.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

Result<LiveRun> read_announcement(const std::string& folder) {
  auto json = parse_json_file(folder + "/run.json");
  if (!json.is_object()) return Error::invalid(folder + "/run.json is damaged");
  LiveRun run;
  run.bus_folder = folder;
  auto text_field = [&](const char* key) {
    auto it = json.find(key);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  auto number_field = [&](const char* key) {
    auto it = json.find(key);
    return it != json.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
  };
  run.run_id = text_field("run_id");
  run.log = text_field("log");
  run.pid = static_cast<int>(number_field("pid"));
  run.start_ns = number_field("start_ns");
  run.listen = text_field("listen");
  run.replay = json.value("replay", nlohmann::json()) == true;
  if (run.run_id.empty() || run.log.empty()) return Error::invalid(folder + "/run.json lacks run_id or log");
  return run;
}

}  // namespace

Status announce_run(const LiveRun& run) {
  nlohmann::json json = {{"run_id", run.run_id},     {"log", run.log},       {"pid", run.pid},
                         {"start_ns", run.start_ns}, {"replay", run.replay}, {"listen", run.listen}};
  return write_file_atomically(run.bus_folder + "/run.json", json_text(json, 2) + "\n", {.sync = false});
}

std::vector<LiveRun> find_live_runs(const FolderOptions& options) {
  std::vector<LiveRun> runs;
  for (const auto& folder : BusFolder::held(options))
    if (auto run = read_announcement(folder)) runs.push_back(std::move(run).value());
  std::sort(runs.begin(), runs.end(),
            [](const LiveRun& a, const LiveRun& b) { return a.start_ns < b.start_ns; });
  return runs;
}

Result<LiveRun> find_live_run(const FolderOptions& options, const std::string& name) {
  auto runs = find_live_runs(options);
  if (runs.empty()) return Error::not_found("no run is live").with_hint("start one: ktstr-launch run SPEC");
  if (name == "latest") return runs.back();
  std::vector<const LiveRun*> hits;
  for (const auto& run : runs) {
    if (run.run_id == name) return run;
    if (run.run_id.find(name) != std::string::npos) hits.push_back(&run);
  }
  if (hits.size() == 1) return *hits[0];
  std::string list;
  for (const auto& run : runs) list += (list.empty() ? "" : ", ") + run.run_id;
  return Error::not_found((hits.empty() ? "no live run is called " : "several live runs are called ") + name +
                          "; live: " + list);
}

}  // namespace ktstr
