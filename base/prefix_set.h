// Whether a text begins with one of many words: only those with its first character are compared.
#pragma once

#include <array>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace ktstr {

class PrefixSet {
 public:
  PrefixSet(std::initializer_list<std::string_view> words) {
    for (std::string_view word : words)
      if (!word.empty()) by_first_[static_cast<unsigned char>(word.front())].push_back(word);
  }
  bool begins(std::string_view text) const {
    if (text.empty()) return false;
    for (std::string_view word : by_first_[static_cast<unsigned char>(text.front())])
      if (text.starts_with(word)) return true;
    return false;
  }

 private:
  std::array<std::vector<std::string_view>, 256> by_first_;
};

}  // namespace ktstr
