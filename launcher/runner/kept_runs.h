// The runs that are kept in the state folder, and what `runs clean` removes of them.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "launcher/run/folders.h"

namespace ktstr {

struct KeptRun {
  std::string path;
  std::string id;       // "20261121-210145-3f2a"
  uint64_t unix_s = 0;  // its start, by its id
  uint64_t bytes = 0;   // on disk
};
// Newest first. Only folders with a run's name count.
std::vector<KeptRun> kept_runs(const FolderOptions& folders);

struct CleanRule {
  size_t keep = SIZE_MAX;     // the newest ones
  uint64_t older_than_s = 0;  // 0: by number alone
  uint64_t now_unix_s = 0;
  std::set<std::string> live;  // ids of runs that go on
};
// Those that go. With both rules a run must fall under each: neither among the newest `keep` nor younger than `older_than_s`.
std::vector<KeptRun> runs_to_remove(const std::vector<KeptRun>& newest_first, const CleanRule& rule);

// "7d", "12h", "30m", "90s" in seconds.
Result<uint64_t> parse_age(std::string_view text);

std::string human_bytes(uint64_t bytes);

}  // namespace ktstr
