// The search of `ktstr-launch minimize`: which run comes next and what it proved. No process is in it.
//
// First the unreduced test, which must fail; then each candidate of the Shrinker, up to `tries` times: a smaller test takes another
// course under the same seed, so further seeds are tried. The first try that fails in the same way proves the candidate; the seed that
// it failed with is the first one tried from then on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launcher/search/shrink.h"

namespace ktstr {

struct MinimizerOptions {
  std::string failure;           // as failure_of() tells it; empty: what the unreduced test fails with
  std::optional<uint64_t> seed;  // of the failing run; further ones follow it; nothing: plain runs
  unsigned tries = 3;            // of each candidate
};

// What one candidate proved.
struct ReductionRecord {
  std::string what;
  unsigned tries = 0;
  bool gone = false;             // it still failed in the same way
  std::optional<uint64_t> seed;  // with which it did
  std::string ends;              // else: how the last try ended
};

class Minimizer {
 public:
  Minimizer(const TestSpecT& failing, MinimizerOptions options);

  struct Trial {
    const TestSpecT* spec;  // valid until ended()
    std::string what;
    std::optional<uint64_t> seed;
    unsigned try_number;  // from 1
  };
  // nullopt: nothing is left, or the unreduced test did not fail.
  std::optional<Trial> next();
  // Of the one that next() gave last. `failure`: failure_of(), empty if it did not fail; `text`: trial_text(). Returns whether it
  // failed in the way that is looked for.
  bool ended(const std::string& failure, const std::string& text);

  const TestSpecT& best() const { return shrinker_.best(); }
  const std::string& failure() const { return options_.failure; }
  std::optional<uint64_t> seed() const {
    return seeds_.empty() ? std::nullopt : std::optional(seeds_.front());
  }
  // The unreduced test failed, so best() is a test that fails.
  bool reproduced() const { return reproduced_; }
  const std::vector<ReductionRecord>& records() const { return records_; }

 private:
  MinimizerOptions options_;
  Shrinker shrinker_;
  std::vector<uint64_t> seeds_;  // the one that failed last, first
  std::vector<ReductionRecord> records_;
  const Reduction* candidate_ = nullptr;  // null: the unreduced test
  unsigned tried_ = 0;                    // times, of what is in hand
  bool reproduced_ = false, given_up_ = false;
};

// The table of what each reduction proved.
std::string records_text(const std::vector<ReductionRecord>& records);

}  // namespace ktstr
