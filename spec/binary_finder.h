// Where a scheduler's binary is, when the spec gives a path or only a name.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

class BinaryFinder {
 public:
  virtual ~BinaryFinder() = default;
  // The absolute path of `binary` as written in the spec file at `spec_path`.
  // Errors: kNotFound, the message names every place looked at; kInvalid: found, but not a file that can be
  // run.
  virtual Result<std::string> find(const std::string& binary, const std::string& spec_path) const = 0;
};

struct BinarySearchDirs {
  std::vector<std::string> scheduler_dirs;  // --scheduler-dir, in the order given
  std::string build_schedulers_dir;         // the build tree's schedulers folder; empty: none
  std::string path;                         // PATH as in the environment: folders separated by ':'
};

// With a '/' in it, `binary` is a path: absolute, or relative to the spec's folder. Without, it is a name,
// looked for beside the spec, in scheduler_dirs, in the build tree's schedulers folder and in PATH; the first
// hit wins.
class DirBinaryFinder : public BinaryFinder {
 public:
  explicit DirBinaryFinder(BinarySearchDirs dirs) : dirs_(std::move(dirs)) {}
  Result<std::string> find(const std::string& binary, const std::string& spec_path) const override;

 private:
  BinarySearchDirs dirs_;
};

}  // namespace ktstr
