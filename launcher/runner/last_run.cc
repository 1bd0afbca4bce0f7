#include "launcher/runner/last_run.h"

#include <filesystem>

#include "base/json.h"
#include "base/sha256.h"
#include "base/small_files.h"

namespace ktstr {

LastRun::LastRun(const FolderOptions& folders, const std::string& here) : here_(here) {
  const std::string state = state_folder(folders);
  if (state.empty()) return;
  Sha256 name;
  name.add(std::span(reinterpret_cast<const uint8_t*>(here.data()), here.size()));
  path_ = state + "/last/" + name.hex().substr(0, 16) + ".json";
}

std::set<TestKey> LastRun::failed() const {
  std::set<TestKey> out;
  const Json json = path_.empty() ? Json() : parse_json_file(path_);
  if (!json.is_object() || json.value("folder", "") != here_ || !json.contains("not_passed")) return out;
  for (const Json& test : json["not_passed"])
    if (test.is_array() && test.size() == 2 && test[0].is_string() && test[1].is_string())
      out.emplace(test[0].get<std::string>(), test[1].get<std::string>());
  return out;
}

Status LastRun::update(const RunVerdicts& verdicts) const {
  if (path_.empty()) return {};
  std::set<TestKey> failed = this->failed();
  for (const TestKey& test : verdicts.passed) failed.erase(test);
  failed.insert(verdicts.not_passed.begin(), verdicts.not_passed.end());
  Json list = Json::array();
  for (const auto& [file, name] : failed) list.push_back(Json::array({file, name}));
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), error);
  return write_file_atomically(path_, json_text(Json{{"folder", here_}, {"not_passed", list}}, 1) + "\n",
                               {.sync = false});
}

}  // namespace ktstr
