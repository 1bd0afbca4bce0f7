// Folds repeated blocks of lines: a block of 1..N lines that follows itself is shown once, with a line that
// counts the repeats. Schedulers print the same statistics or the same verifier loop thousands of times.
//
// The idea: for every period K up to N, run[K] counts how many of the newest lines equal the line K places
// before. When run[K] reaches K, the last K lines repeat the K before them; they are taken back (they still
// wait in a short queue) and from then on only counted, until a line breaks the cycle. One pass, at most N
// comparisons a line (none for a line that the last N did not hold), memory for 2N lines. Checked against an
// obvious quadratic oracle in cycle_collapser_test.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

class CycleCollapser {
 public:
  struct Options {
    size_t max_period = 128;  // N; at least 4
    size_t min_repeats = 3;   // fewer repeated lines than this stay as they are
  };
  CycleCollapser() : CycleCollapser(Options()) {}
  explicit CycleCollapser(Options options);

  // Appends to `out` whatever has become certain.
  void push(std::string line, std::vector<std::string>& out);
  // The end of the text: appends the rest.
  void finish(std::vector<std::string>& out);

 private:
  void push_plain(std::string line, uint32_t key, std::vector<std::string>& out);
  void start_cycle(size_t period, size_t repeated, std::vector<std::string>& out);
  void end_cycle(std::vector<std::string>& out);
  void forget_history();

  Options options_;
  std::deque<std::string> waiting_;  // plain lines that a cycle might still take back
  std::vector<uint32_t> history_;    // keys; the newest max_period are at the end
  std::vector<uint32_t> run_;        // run_[N - K]
  bool run_zero_ = true;             // all of run_ is 0
  std::vector<uint16_t>
      in_window_;                // how many of the newest N keys have these low bits: most lines are new ones
  uint64_t plain_ = 0;           // plain lines since the last count line
  std::vector<uint32_t> block_;  // keys of the block being counted; empty: no cycle
  uint64_t repeats_ = 0;
  std::vector<std::string> partial_;  // lines of an unfinished repeat
};

// What two lines must share to count as equal: the whole line, but for verifier output, where an unrolled
// loop prints the same instruction with other register states: there the text before the states.
std::string_view cycle_key(std::string_view line);

}  // namespace ktstr
