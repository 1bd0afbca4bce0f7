// Stands in for core_unwind.cc where elfutils cannot be linked statically (CMakeLists.txt says what is missing).
#include "guest/init/core_unwind.h"

namespace ktstr::guest {

std::vector<std::string> unwind_core(int) { return {}; }

}  // namespace ktstr::guest
