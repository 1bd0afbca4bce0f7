// `show TEST`: a resolved test for people, each value with the layer that it came from.
#pragma once

#include <string>

#include "spec/spec.h"

namespace ktstr {

// A heading, the scheduler, a table NAME = VALUE  ORIGIN of every attribute, and the cgroups. Ends in a
// newline.
std::string show_test(const LoadedTest& test);

}  // namespace ktstr
