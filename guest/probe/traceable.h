// Which kernel functions a kprobe may sit on: available_filter_functions, read once.
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
// `path`: tracefs file; lines are "NAME" or "NAME [module]". kNotFound when it cannot be read.
Result<Traceable> read_traceable(const std::string& path, const std::set<std::string>& wanted);

}  // namespace ktstr::probe
