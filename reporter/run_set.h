// The tests of a whole run, or of several: tries of one round belong together, planned tests without a log are told, and, when
// runs are merged, what one of them did not finish and another did counts once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "reporter/format.h"

namespace ktstr {

class RunSet {
 public:
  // In the order of the logs.
  void add(RunFacts run);
  // The launcher's plan-RUN_ID.json. kInvalid: it is none.
  Status add_plan(std::string_view json);

  // `merge`: the runs are parts or repetitions of one another (partitions, a job that was requeued).
  std::vector<JudgedTest> tests(bool merge) const;
  // Unfinished ones that tests(true) leaves out, since the same test was finished elsewhere.
  size_t superseded() const;

 private:
  struct Planned {
    std::string stamp;  // of its run
    RunFacts test;
  };
  std::vector<JudgedTest> all() const;

  std::vector<RunFacts> runs_;
  std::vector<Planned> planned_;
};

}  // namespace ktstr
