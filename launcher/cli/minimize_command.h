// ktstr-launch minimize: a smaller spec that fails in the same way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ktstr {

struct MinimizeCommandOptions {
  std::vector<std::string> inputs;  // one events.ktlog, or specs
  std::vector<std::string> filters, scheduler_dirs;
  std::string kernel;            // empty: the recorded one
  std::optional<uint64_t> seed;  // nothing: the recorded one, or plain runs
  std::string strategy;          // empty: the recorded one
  unsigned tries = 3;            // runs of each candidate: seeds, or plain runs
  double budget_s = 3600;
  uint64_t runs = 0;  // 0: as many as fit into the budget
  std::string out, write;
};
// The smaller spec goes to stdout; progress and what each reduction proved to stderr. 0: a smaller spec (or the same: nothing could be
// left out); 4: the failure did not show again; else as run.
int minimize_command(const MinimizeCommandOptions& options);

}  // namespace ktstr
