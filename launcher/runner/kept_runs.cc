#include "launcher/runner/kept_runs.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <filesystem>

#include "base/text.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

// The time of "YYYYMMDD-HHMMSS-hhhh" (make_run_id); 0: no such name.
uint64_t start_of(const std::string& id) {
  const auto digits = [&](size_t at, size_t n) {
    for (size_t i = at; i < at + n; ++i)
      if (!is_digit(id[i])) return false;
    return true;
  };
  if (id.size() != 20 || id[8] != '-' || id[15] != '-' || !digits(0, 8) || !digits(9, 6)) return 0;
  for (size_t i = 16; i < 20; ++i)
    if (!is_hex_digit(id[i])) return 0;
  const auto number = [&](size_t at, size_t n) { return std::stoi(id.substr(at, n)); };
  tm t{};
  t.tm_year = number(0, 4) - 1900;
  t.tm_mon = number(4, 2) - 1;
  t.tm_mday = number(6, 2);
  t.tm_hour = number(9, 2);
  t.tm_min = number(11, 2);
  t.tm_sec = number(13, 2);
  const time_t seconds = ::timegm(&t);
  return seconds > 0 ? static_cast<uint64_t>(seconds) : 0;
}

uint64_t bytes_below(const std::string& folder) {
  uint64_t sum = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, error), end;
       !error && at != end; at.increment(error)) {
    struct stat st{};
    if (::lstat(at->path().c_str(), &st) == 0 && S_ISREG(st.st_mode))
      sum += static_cast<uint64_t>(st.st_blocks) * 512;
  }
  return sum;
}

}  // namespace

std::vector<KeptRun> kept_runs(const FolderOptions& folders) {
  std::vector<KeptRun> runs;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state_folder(folders) + "/runs", error)) {
    KeptRun run{.path = entry.path().string(), .id = entry.path().filename().string()};
    run.unix_s = start_of(run.id);
    struct stat st{};
    // A link is somebody else's doing: what it leads to is not ours to remove.
    if (run.unix_s == 0 || ::lstat(run.path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) continue;
    run.bytes = bytes_below(run.path);
    runs.push_back(std::move(run));
  }
  std::sort(runs.begin(), runs.end(), [](const KeptRun& a, const KeptRun& b) { return a.id > b.id; });
  return runs;
}

std::vector<KeptRun> runs_to_remove(const std::vector<KeptRun>& newest_first, const CleanRule& rule) {
  std::vector<KeptRun> out;
  for (size_t i = 0; i < newest_first.size(); ++i) {
    const KeptRun& run = newest_first[i];
    const bool kept_by_number = rule.keep != SIZE_MAX && i < rule.keep;
    const bool kept_by_age = rule.older_than_s != 0 && run.unix_s + rule.older_than_s > rule.now_unix_s;
    if (!kept_by_number && !kept_by_age && !rule.live.contains(run.id)) out.push_back(run);
  }
  return out;
}

Result<uint64_t> parse_age(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const uint64_t factor = unit == "d" ? 86400 : unit == "h" ? 3600 : unit == "m" ? 60 : unit == "s" ? 1 : 0;
  if (error != std::errc() || factor == 0 || number == 0 || number > 1'000'000)
    return Error::invalid("--older " + std::string(text) + ": not understood")
        .with_hint("a number and a unit: 7d, 12h, 30m, 90s");
  return number * factor;
}

std::string human_bytes(uint64_t bytes) {
  if (bytes >= (1u << 30)) return fmt::format("{:.1f} GB", static_cast<double>(bytes) / (1u << 30));
  if (bytes >= (1u << 20)) return fmt::format("{:.1f} MB", static_cast<double>(bytes) / (1u << 20));
  return fmt::format("{:.0f} KB", static_cast<double>(bytes) / 1024);
}

}  // namespace ktstr
