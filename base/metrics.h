// The numbers in a collector's line (`attach --metrics`): one rule for all that show them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

struct Metric {
  std::string name;  // 1 to 64 bytes: letters, digits and _ - . : / % @ [ ] #; of JSON the path: "cpu.user"
  double value = 0;  // finite
};

inline constexpr size_t kMaxMetricsOfALine = 64;

// `name=value` words, anything else between them; or a JSON object, whose numbers are named by their path. A word without a number
// is passed over; a value may end in one of % s ms us ns k M G (the unit is passed over).
std::vector<Metric> metrics_of(std::string_view line);

}  // namespace ktstr
