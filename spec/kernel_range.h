// Conditions on a kernel's version: `kernels = [">=6.18", "<7.3"]` of a spec. All of them must hold.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ktstr {

// A condition: one or more `[>=|<=|>|<|=]VERSION` with '|' between, of which one must hold; without an operator `=`. A version
// names one to four numbers and is compared in as many: 7.3.4 is =7.3, <=7.3 and not >7.3.
Status check_kernel_condition(std::string_view condition);

// The first condition that `release` ("7.3.4+deb13-cloud-amd64") does not meet; empty: it meets all. One that is malformed is
// not met.
std::string unmet_kernel_condition(const std::vector<std::string>& conditions, std::string_view release);

}  // namespace ktstr
