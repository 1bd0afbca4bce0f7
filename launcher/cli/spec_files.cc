#include "launcher/cli/spec_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace ktstr {
namespace {

namespace fs = std::filesystem;

bool looks_like_a_spec(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  for (size_t read = 0; read < kMaxSpecBytes && std::getline(in, line); read += line.size() + 1) {
    const size_t at = line.find_first_not_of(" \t");
    if (at == std::string::npos) continue;
    std::string_view text = std::string_view(line).substr(at);
    if (text.starts_with("[[test]]") || text.starts_with("[scheduler.")) return true;
  }
  return false;
}

Status add_folder(const std::string& folder, std::vector<std::string>& out) {
  std::error_code error;
  std::vector<std::string> found;
  auto it = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    const bool hidden = it->path().filename().string().starts_with(".");
    if (hidden && it->is_directory(error)) it.disable_recursion_pending();
    if (!hidden && it->path().extension() == ".toml" && it->is_regular_file(error) &&
        looks_like_a_spec(it->path()))
      found.push_back(it->path().string());
  }
  if (error) return Error::system(folder + ": " + error.message());
  if (found.empty())
    return Error::not_found(folder + ": no spec in this folder")
        .with_hint("a spec is a .toml file with a [[test]]");
  std::sort(found.begin(), found.end());
  out.insert(out.end(), found.begin(), found.end());
  return {};
}

}  // namespace

Result<std::vector<std::string>> spec_files(const std::vector<std::string>& named) {
  std::vector<std::string> out;
  for (const std::string& path : named) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      out.push_back(path);
    } else if (auto added = add_folder(path, out); !added) {
      return std::move(added).error();
    }
  }
  return out;
}

Result<std::vector<LoadedTest>> load_all_tests(const std::vector<std::string>& named,
                                               const SpecOptions& options) {
  auto files = spec_files(named);
  if (!files) return std::move(files).error();
  std::vector<LoadedTest> tests;
  std::string errors;
  for (const auto& path : *files) {
    auto loaded = load_tests_of(path, options);
    if (!loaded) {
      errors += (errors.empty() ? "" : "\n") + loaded.error().to_string();
      continue;
    }
    for (auto& test : *loaded) tests.push_back(std::move(test));
  }
  if (!errors.empty()) return Error::invalid(errors);
  return tests;
}

}  // namespace ktstr
