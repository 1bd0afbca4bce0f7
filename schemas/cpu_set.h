// CPU lists as cpuset.cpus writes them: "0-3,5".
#pragma once

#include <string_view>
#include <vector>

#include "runtime/result.h"

namespace ktstr {

// The CPUs named, ascending, each once. Blanks around numbers are allowed.
// Errors (kInvalid): not a list, empty, a range that runs backwards, a CPU at or above `cpus`.
Result<std::vector<unsigned>> parse_cpu_list(std::string_view list, unsigned cpus);

}  // namespace ktstr
