// Bisection over points in order, the first of which is good and the last bad: which comes next, and what is proved. No process is
// in it.
//
// The ends are tried first, the bad one before the good one. Then the point nearest to the middle between the last good and the
// first bad one that was not skipped. Skipped points that lie between the two at the end may be the first bad one as well.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <vector>

namespace ktstr {

enum class BisectAnswer { kGood, kBad, kSkip };

class Bisection {
 public:
  // REQUIRES: two points at least.
  explicit Bisection(size_t points) : points_(points), bad_(points - 1) {}

  // The point to try; nullopt: nothing more can be found out, or an end is not what it was said to be.
  std::optional<size_t> next() const;
  // Of the one that next() gave last.
  void answer(BisectAnswer answer);

  // An end that was not as it was said to be: the search is over.
  bool bad_end_is_not_bad() const { return ends_tried_ == 1 && failed_; }
  bool good_end_is_not_good() const { return ends_tried_ == 2 && failed_; }

  size_t good() const { return good_; }  // the last good one that is known
  size_t bad() const { return bad_; }    // the first bad one that is known
  // Between the two; empty: `bad` is the first bad one.
  std::vector<size_t> between() const;
  // Runs that are still needed if none is skipped.
  unsigned steps_left() const;

 private:
  size_t points_;
  size_t good_ = 0, bad_;
  std::set<size_t> skipped_;
  unsigned ends_tried_ = 0;
  bool failed_ = false;
};

// The exit code of a run (schemas/exit_code.h) as `git bisect run` wants it: 0 good, 1 bad, 125 to skip what could not be judged (it
// does not build, load or boot), 129 to give up: the command is wrong for every commit. Interruptions stay, which git takes as giving
// up, too.
int git_bisect_code(int code);
inline constexpr int kGitBisectSkip = 125, kGitBisectStop = 129;

}  // namespace ktstr
