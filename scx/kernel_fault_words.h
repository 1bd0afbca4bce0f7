// Shared by the files of the kernel's fault parser.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace ktstr {

inline constexpr size_t kMaxFaultMessage = 1024;

inline std::string clip_word(std::string_view text, size_t most = 256) {
  return std::string(text.substr(0, most));
}

inline bool fault_has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

inline bool is_rule(std::string_view text) {
  return text.size() >= 8 && text.find_first_not_of(text.front()) == std::string_view::npos &&
         (text.front() == '=' || text.front() == '-');
}

}  // namespace ktstr
