// The errors of one spec file: gathered, then reported together in the order of its lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ktstr {

class SpecErrors {
 public:
  explicit SpecErrors(std::string path) : path_(std::move(path)) {}

  // `line` is 1-based; 0 means the file as a whole. `hint` may be empty.
  void add(unsigned line, std::string_view what, std::string_view hint = "");
  bool empty() const { return errors_.empty(); }
  size_t count() const { return errors_.size(); }
  // Without its place. REQUIRES: !empty().
  const std::string& first() const { return errors_.front().text; }

  // kInvalid; "FILE:LINE: what; hint", one line each. After kMaxShown the rest is only counted.
  // REQUIRES: !empty().
  Error to_error() const;

  static constexpr size_t kMaxShown = 50;

 private:
  struct Entry {
    unsigned line;
    std::string text;
  };
  std::string path_;
  std::vector<Entry> errors_;
};

}  // namespace ktstr
