// ktstr-launch explore: one test under many seeds, each a deterministic run of its own process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct SeedRange {
  uint64_t first = 0, last = 0;
};
// "7", "1..200". kInvalid: empty, backwards, more than a million.
Result<SeedRange> parse_seeds(const std::string& text);

struct ExploreCommandOptions {
  std::vector<std::string> specs, filters, scheduler_dirs;
  std::string kernel;
  std::string seeds = "1..200";
  std::string strategy = "random";
  std::string out;  // folder of the runs; empty: one in the state folder
  unsigned jobs = 1;
  bool until_fail = false;
  bool no_difference = false;  // the perturbations that the first failing seed needs are not looked for
};
// 0: no seed failed; 1: one did; else as run.
int explore_command(const ExploreCommandOptions& options);

// How one seed ended.
struct SeedEnd {
  uint64_t seed = 0;
  int exit_code = 0;
  std::string summary;    // the verdict's
  std::string signature;  // of its crash; empty: none
  std::string failure;    // failure_of(); empty: it did not fail
  std::string log;
};
// What explore prints at its end, but for the rerun command.
std::string explore_text(const std::vector<SeedEnd>& ends);

// What of a failing seed's perturbations its failure needs, for a person.
struct SeedDifference {
  std::vector<std::string> needed, spare;
  std::string drop;     // as --drop: the spare ones
  std::string nearest;  // as --drop: the spare ones, and a needed one
};
std::string difference_text(uint64_t seed, const SeedDifference& difference);

}  // namespace ktstr
