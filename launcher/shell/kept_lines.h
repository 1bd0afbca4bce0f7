// What a VM said, for the words about its end: the last lines, and before them the first line of each kernel message
// about trouble, which a long call trace would push out of the last ones. All of it goes to a file too when one is open.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/line_buffers.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

class KeptLines {
 public:
  static constexpr size_t kShown = 40;  // last lines: what led to the end
  static constexpr size_t kMaxHeads =
      8;  // messages about trouble: the first ones, which are nearest to the cause
  static constexpr uint64_t kMaxFile = 256u << 20;

  // `path` is made, or emptied; without a call nothing is written. What does not go in any more is left out.
  Status open(const std::string& path);
  void add(std::string_view line);
  bool empty() const { return last_.empty(); }
  // A line each, indented, after a line break, and printable on a terminal. Empty: nothing was added.
  std::string shown() const;

 private:
  struct Head {
    uint64_t number = 0;  // of the line, from 0
    std::string line;
  };
  UniqueFd fd_;
  uint64_t bytes_ = 0;
  TailBuffer last_{kShown};
  std::vector<Head> heads_;
};

}  // namespace ktstr
