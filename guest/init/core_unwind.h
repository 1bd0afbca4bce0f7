// Reads an ELF core with elfutils: the backtrace of the thread that died.
#pragma once

#include <string>
#include <vector>

namespace ktstr::guest {

// Innermost first; at most 64. Symbols come from the files of the programs and libraries that the core names.
// Empty when the core cannot be read.
std::vector<std::string> unwind_core(int core_fd);

}  // namespace ktstr::guest
