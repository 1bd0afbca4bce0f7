#include "launcher/run/known_signatures.h"

#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <set>

#include "base/small_files.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSignatureBytes = 4096;
constexpr int kKeptDepth = 4;  // runs/RUN/TEST/signature
constexpr size_t kMaxPathsSeen = 200'000, kMaxSignatures = 20'000;

std::string day(time_t t) {
  char text[32] = "";
  struct tm parts{};
  if (t != 0 && ::gmtime_r(&t, &parts)) std::strftime(text, sizeof(text), "%Y-%m-%d", &parts);
  return text;
}

}  // namespace

std::string kept_runs(const FolderOptions& options) {
  const std::string state = !options.state_home.empty() ? options.state_home
                            : !options.home.empty()     ? options.home + "/.local/state"
                                                        : "";
  return state.empty() ? state : state + "/ktstr/runs";
}

Status keep_signature(const std::string& folder, const std::string& signature) {
  return write_file_atomically(folder + "/" + kSignatureFile,
                               signature.substr(0, kMaxSignatureBytes - 1) + "\n", {.sync = false});
}

std::optional<SignatureKnownT> find_known(const std::string& signature, const std::vector<std::string>& roots,
                                          const std::string& own_folder) {
  const std::string wanted = signature.substr(0, kMaxSignatureBytes - 1);
  SignatureKnownT known;
  known.signature = signature;
  time_t earliest = 0;
  size_t entries = 0, files = 0;
  std::set<std::string> counted;
  for (const std::string& root : roots) {
    std::error_code error;
    for (fs::recursive_directory_iterator at(root, fs::directory_options::skip_permission_denied, error), end;
         !error && at != end && entries < kMaxPathsSeen && files < kMaxSignatures; at.increment(error)) {
      ++entries;
      if (at.depth() >= kKeptDepth) at.disable_recursion_pending();
      if (at->path().filename() != kSignatureFile) continue;
      ++files;
      const std::string folder = at->path().parent_path().string();
      if (folder == own_folder || read_text_or(at->path().string(), "") != wanted) continue;
      std::error_code bad;
      if (const fs::path real = fs::canonical(folder, bad); bad || !counted.insert(real.string()).second)
        continue;
      ++known.times;
      struct stat info{};
      if (::stat(at->path().c_str(), &info) != 0 || (earliest != 0 && info.st_mtime >= earliest)) continue;
      earliest = info.st_mtime;
      known.since = day(earliest);
      known.first = folder + "/events.ktlog";
    }
  }
  if (known.times == 0) return std::nullopt;
  return known;
}

}  // namespace ktstr
