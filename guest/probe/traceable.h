// Which kernel functions a kprobe may sit on: available_filter_functions. To read it takes a guest half a second, and it says the
// same for every test: a guest that becomes a template reads it before it is saved.
#pragma once

#include <set>
#include <string>

#include "base/result.h"

namespace ktstr::probe {

// Of `wanted`, those that the kernel lists, and once only: a name that several functions share is
// ambiguous.
struct Traceable {
  std::set<std::string> available;
  std::set<std::string> ambiguous;
};

class TraceableNames {
 public:
  // Reads `path`, a tracefs file with lines "NAME" or "NAME [module]"; once it could be read, nothing more.
  Status load(const std::string& path);
  Traceable among(const std::set<std::string>& wanted) const;

 private:
  std::string names_;  // a line each
};

}  // namespace ktstr::probe
