// ktstr-launch bisect: the first kernel, or the first commit of a scheduler, under which a test fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ktstr {

struct BisectCommandOptions {
  std::vector<std::string> specs;
  std::vector<std::string> filters, scheduler_dirs;
  std::string kernel;            // for commits
  std::string good, bad;         // REF
  bool kernels = false;          // cached kernels; else commits of the repository that holds the spec
  bool tags = false;             // of the commits only those with a tag: a scheduler's versions
  std::string signature;         // empty: the one that the bad end shows
  std::optional<uint64_t> seed;  // deterministic runs
  std::string strategy = "random";
  unsigned tries = 1;  // of each point: bad if one shows the failure
  std::string out;
};
// 0: the first bad one is known; 4: it is one of several (the others were skipped), or an end is not as it was said to be.
int bisect_command(const BisectCommandOptions& options);

}  // namespace ktstr
