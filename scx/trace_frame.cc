#include "scx/trace_frame.h"

#include "base/numbers.h"
#include "base/text.h"
#include "schemas/crash_generated.h"

namespace ktstr {
namespace {

constexpr std::string_view kBpfPrefix = "bpf_prog_";
constexpr size_t kTagLength = 16;

bool is_symbol_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '$';
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::optional<ChainFrameT> parse_trace_frame(std::string_view text) {
  text = trim(text);
  ChainFrameT frame;
  if (text.starts_with("? ")) {
    frame.uncertain = true;
    text = trim(text.substr(2));
  }
  const size_t blank = text.find(' ');
  const std::string_view place = text.substr(0, blank);  // "name+0x8d/0xc0"
  if (blank != std::string_view::npos && !trim(text.substr(blank)).starts_with("[")) return std::nullopt;
  const size_t plus = place.find('+');
  const size_t slash = place.find('/', plus == std::string_view::npos ? 0 : plus);
  if (plus == std::string_view::npos || slash == std::string_view::npos || plus == 0) return std::nullopt;
  std::string_view name = place.substr(0, plus);
  for (char c : name) {
    if (!is_symbol_char(c)) return std::nullopt;
  }
  auto offset = parse_number(place.substr(plus + 1, slash - plus - 1), 0);
  auto size = parse_number(place.substr(slash + 1), 0);
  if (!offset || !size || *offset > UINT32_MAX || *size > UINT32_MAX) return std::nullopt;
  frame.raw = text;
  frame.offset = static_cast<uint32_t>(*offset);
  frame.size = static_cast<uint32_t>(*size);
  const size_t tag_at = kBpfPrefix.size();
  if (name.starts_with(kBpfPrefix) && name.size() >= tag_at + kTagLength &&
      is_hex(name.substr(tag_at, kTagLength))) {
    frame.tag = name.substr(tag_at, kTagLength);
    const std::string_view rest = name.substr(tag_at + kTagLength);
    // A program without a name is printed as its tag alone.
    name = rest.size() > 1 && rest.front() == '_' ? rest.substr(1) : name;
  }
  frame.function = name;
  return frame;
}

std::optional<TaskName> parse_task_name(std::string_view text) {
  if (text.empty() || text.back() != ']') return std::nullopt;
  const size_t open = text.rfind('[');
  if (open == std::string_view::npos) return std::nullopt;
  auto pid = parse_number(text.substr(open + 1, text.size() - open - 2));
  if (!pid || *pid > INT32_MAX) return std::nullopt;
  return TaskName{text.substr(0, open), static_cast<int>(*pid)};
}

}  // namespace ktstr
