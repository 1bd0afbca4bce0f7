// CPU lists as cpuset.cpus and sched_ext_dump write them: "0-3,5".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ktstr {

// The CPUs named, ascending, each once. Blanks around numbers are allowed.
// Errors (kInvalid): not a list, empty, a range that runs backwards, a CPU at or above `cpus`.
Result<std::vector<unsigned>> parse_cpu_list(std::string_view list, unsigned cpus);

// A mask as the kernel prints one (%*pb): hex words of 32 bits, the highest first, "f" or "ff,ffffffff". Empty: no mask.
std::vector<unsigned> parse_cpu_mask(std::string_view mask);

// In any order, repeated or not: {2,0,1,5} -> "0-2,5".
std::string cpu_list(std::vector<unsigned> cpus);

}  // namespace ktstr
