// The smaller spec that fails in the same way: which reductions of a failing test are tried, and in which order. No process and no
// clock is in it: who runs the candidates tells whether one still fails.
//
// One kind of reduction after the other (steps, cgroups, CPUs, duration, …), those that make a run quicker first. Of a list all
// elements are taken out first, then halves, quarters, … single ones (delta debugging); of a number the lowest value is tried
// first, then what lies between. A success goes on from the smaller test. The kinds are gone through again until a whole round
// finds nothing: then no single reduction is left (1-minimal). A candidate that the spec's reader refuses, or that was tried
// before, is passed over.
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "schemas/spec_generated.h"

namespace ktstr {

struct Reduction {
  std::string what;  // "cgroup batch", "CPUs 4 → 1"
  TestSpecT spec;
  size_t grain = 0;  // how many elements it takes out; 0: not of a list
};

class Shrinker {
 public:
  // REQUIRES: the test has no C++ body. `valid`: does the spec's reader accept it? It is asked for candidates only.
  Shrinker(const TestSpecT& failing, std::function<bool(const TestSpecT&)> valid);

  // The smaller test to try, valid until answer(); null: nothing is left.
  const Reduction* next();
  // Of the one that next() gave last. REQUIRES: it gave one.
  void answer(bool still_fails);

  // The smallest that failed.
  const TestSpecT& best() const { return best_; }

 private:
  void fill();

  std::function<bool(const TestSpecT&)> valid_;
  TestSpecT best_;
  std::set<std::string> tried_;   // specs, as text
  std::vector<Reduction> queue_;  // of one kind
  size_t place_ = 0;              // in queue_
  size_t kind_ = 0;
  size_t most_grain_ = static_cast<size_t>(-1);  // larger ones were tried on a larger test
  bool found_in_round_ = false;
};

// The test as minimize starts with it: one cell of a matrix is a test of its own, a pin and the bounds on the topology are gone, and
// no repro VM is booted.
TestSpecT test_to_shrink(const TestSpecT& recorded);

// The reader accepts its text.
bool spec_is_valid(const TestSpecT& spec);

}  // namespace ktstr
