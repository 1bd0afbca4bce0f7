// The parts in which pstore keeps the end of a kernel's log ("Oops#1 Part3"): numbered from the newest, so that files read in
// the order of their names hold the end before the beginning. Holds the parts of one dump and gives them in the order of time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

class PstoreParts {
 public:
  using OnLine = std::function<void(std::string_view)>;
  // False: the line is none of a part's. What is complete goes to `on_line`.
  bool take(std::string_view line, const OnLine& on_line);
  void finish(const OnLine& on_line);

 private:
  struct Part {
    uint64_t number = 0;
    std::string text;
  };
  std::string dump_;  // "Oops#1"; empty: no part is open
  std::vector<Part> parts_;
  size_t held_ = 0;
};

}  // namespace ktstr
