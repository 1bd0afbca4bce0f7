// What did not pass in the runs that were started in one folder, for --failed. Kept in $XDG_STATE_HOME/ktstr/last, one file a
// folder.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "launcher/run/folders.h"

namespace ktstr {

// A test by its spec's absolute path and its name.
using TestKey = std::pair<std::string, std::string>;

struct RunVerdicts {
  std::set<TestKey> passed, not_passed;  // tests that were neither run nor planned are in none
};

class LastRun {
 public:
  // `here`: the folder in which the command was given.
  LastRun(const FolderOptions& folders, const std::string& here);

  // Empty when nothing failed, or nothing was run here.
  std::set<TestKey> failed() const;
  // Tests that `verdicts` does not name stay as they were.
  Status update(const RunVerdicts& verdicts) const;

 private:
  std::string path_;  // empty: no place for it
  std::string here_;
};

}  // namespace ktstr
