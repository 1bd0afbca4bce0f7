#include "spec/binary_finder.h"

#include <unistd.h>

#include <filesystem>

#include "base/wording.h"

namespace ktstr {
namespace fs = std::filesystem;
namespace {

enum class Look { kMissing, kNotRunnable, kGood };

Look look_at(const fs::path& path) {
  std::error_code ec;
  fs::file_status status = fs::status(path, ec);
  if (ec || !fs::exists(status)) return Look::kMissing;
  if (!fs::is_regular_file(status) || ::access(path.c_str(), X_OK) != 0) return Look::kNotRunnable;
  return Look::kGood;
}

std::string full_path(const fs::path& path) {
  std::error_code ec;
  fs::path full = fs::absolute(path, ec);
  return (ec ? path : full).lexically_normal().string();
}

}  // namespace

Result<std::string> DirBinaryFinder::find(const std::string& binary, const std::string& spec_path) const {
  const fs::path beside = fs::path(spec_path).parent_path();
  std::vector<fs::path> places;
  if (binary.find('/') != std::string::npos) {
    places.push_back(fs::path(binary).is_absolute() ? fs::path(binary) : beside / binary);
  } else {
    places.push_back(beside / binary);
    for (const std::string& dir : dirs_.scheduler_dirs) places.push_back(fs::path(dir) / binary);
    if (!dirs_.build_schedulers_dir.empty()) places.push_back(fs::path(dirs_.build_schedulers_dir) / binary);
    for (size_t at = 0; at < dirs_.path.size();) {
      size_t colon = std::min(dirs_.path.find(':', at), dirs_.path.size());
      if (colon > at) places.push_back(fs::path(dirs_.path.substr(at, colon - at)) / binary);
      at = colon + 1;
    }
  }

  std::string looked;
  std::string refused;
  for (const fs::path& place : places) {
    std::string full = full_path(place);
    switch (look_at(place)) {
      case Look::kGood:
        return full;
      case Look::kNotRunnable:
        if (refused.empty()) refused = full;
        [[fallthrough]];
      case Look::kMissing:
        looked += (looked.empty() ? "" : ", ") + full;
    }
  }
  if (!refused.empty())
    return Error::invalid("binary " + in_quotes(binary) + " is not a file that can be run: " + refused)
        .with_hint("chmod +x it, or name the program itself");
  return Error::not_found("binary " + in_quotes(binary) + " not found; looked for: " + looked)
      .with_hint(binary.find('/') != std::string::npos ? "a path is relative to the spec's folder"
                                                       : "give its path, or its folder with --scheduler-dir");
}

}  // namespace ktstr
