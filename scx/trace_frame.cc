#include "scx/trace_frame.h"

#include <algorithm>
#include <utility>

#include "base/numbers.h"
#include "base/text.h"
#include "schemas/crash_generated.h"

namespace ktstr {
namespace {

constexpr std::string_view kBpfPrefix = "bpf_prog_";
constexpr size_t kTagLength = 16;
constexpr size_t kMaxSymbol = 512;
constexpr size_t kMaxPath = 512;

bool is_symbol_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '.' ||
         c == '$' || c == '~';
}

bool is_symbol(std::string_view text) {
  return !text.empty() && text.size() <= kMaxSymbol && !is_digit(text.front()) &&
         std::all_of(text.begin(), text.end(), is_symbol_char);
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

std::string_view take_word(std::string_view& text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  const size_t end = std::min(text.find(' '), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

// "kernel/sched/core.c:6856", also with ":12" for a column.
bool take_source(std::string_view word, ChainFrameT& frame) {
  const size_t colon = word.find(':');
  if (colon == std::string_view::npos || colon > kMaxPath) return false;
  const std::string_view path = word.substr(0, colon);
  const size_t dot = path.rfind('.');
  if (dot == std::string_view::npos || path.size() - dot > 5) return false;
  std::string_view number = word.substr(colon + 1);
  // "file.c:12: text" is a message with its place.
  if (number.ends_with(':') || number.find_first_not_of("0123456789:") != std::string_view::npos)
    return false;
  number = number.substr(0, number.find(':'));
  const auto line = parse_number<uint32_t>(number);
  if (!line) return false;
  frame.file = path;
  frame.line = *line;
  return true;
}

// What follows a frame's symbol: "[module]", "[module buildid]", "(P)", "file.c:12", "file.c:12 [inline]",
// "(file.c:12 (discriminator 3) other.h:4) module". False: the line is something else.
bool take_rest(std::string_view rest, ChainFrameT& frame, bool symbol_only) {
  rest = trim(rest);
  if (rest.empty()) return !symbol_only;
  bool source = false;
  if (rest.starts_with("(") && rest.find(':') != std::string_view::npos) {
    rest.remove_prefix(1);
    std::string_view word = take_word(rest);
    while (word.ends_with(")")) word.remove_suffix(1);
    return take_source(word, frame);
  }
  for (int words = 0; words < 8 && !rest.empty(); ++words) {
    const std::string_view word = take_word(rest);
    if (word.empty()) break;
    if (word == "[inline]") {
      frame.inlined = source;
      if (!source) return false;
    } else if (word.starts_with("[")) {
      const size_t close = rest.find(']');  // "[module buildid]"
      if (!word.ends_with("]") && close != std::string_view::npos) rest.remove_prefix(close + 1);
    } else if (word == "(unreliable)") {
      frame.uncertain = true;  // powerpc's "? "
    } else if (word.size() <= 8 && word.starts_with("(") && word.ends_with(")")) {
      continue;  // arm64: where the frame was found
    } else if (!source && take_source(word, frame)) {
      source = true;
    } else {
      return false;
    }
  }
  return !symbol_only || (source && frame.inlined);
}

void set_name(std::string_view name, ChainFrameT& frame) {
  const size_t tag_at = kBpfPrefix.size();
  if (name.starts_with(kBpfPrefix) && name.size() >= tag_at + kTagLength &&
      is_hex(name.substr(tag_at, kTagLength))) {
    frame.tag = name.substr(tag_at, kTagLength);
    const std::string_view rest = name.substr(tag_at + kTagLength);
    // A program without a name is printed as its tag alone.
    name = rest.size() > 1 && rest.front() == '_' ? rest.substr(1) : name;
  }
  frame.function = name;
}

// "#4 [ffffa9f1c0003e58] schedule at ffffffff8220156a"
std::optional<ChainFrameT> parse_crash_frame(std::string_view text) {
  std::string_view rest = text.substr(1);
  const auto number = parse_number<uint32_t>(take_word(rest));
  const std::string_view stack = take_word(rest);
  const std::string_view name = take_word(rest);
  if (!number || !stack.starts_with("[") || !stack.ends_with("]") || !is_symbol(name) ||
      take_word(rest) != "at")
    return std::nullopt;
  ChainFrameT frame;
  frame.raw = text.substr(0, kMaxSymbol);
  set_name(name, frame);
  return frame;
}

}  // namespace

std::optional<ChainFrameT> parse_trace_frame(std::string_view text) {
  text = trim(text);
  if (text.starts_with("#")) return parse_crash_frame(text);
  // Nearly all lines are no frames: a frame has an offset, or a file and a line.
  if (text.find('+') == text.npos && text.find(':') == text.npos) return std::nullopt;
  ChainFrameT frame;
  // "[<ffffffff811061a6>] name+0x1/0x2"; powerpc: "[c000000008d3bb40] [c0000000001a2ee0] name+0x1/0x2 (unreliable)"
  for (int i = 0; i < 2 && text.starts_with("["); ++i) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    std::string_view address = text.substr(1, close - 1);
    if (address.starts_with("<") && address.ends_with(">")) address = address.substr(1, address.size() - 2);
    if (address.size() < 8 || !is_hex(address)) return std::nullopt;
    text = trim(text.substr(close + 1));
  }
  if (text.starts_with("? ")) {
    frame.uncertain = true;
    text = trim(text.substr(2));
  }
  const size_t blank = std::min(text.find(' '), text.size());
  const std::string_view place = text.substr(0, blank);  // "name+0x8d/0xc0"
  const size_t plus = place.find('+');
  const bool symbol_only = plus == std::string_view::npos;
  const std::string_view name = place.substr(0, plus);
  // A symbol of a BPF program may begin with anything; one without an offset must look like a symbol.
  if (name.empty() || name.size() > kMaxSymbol || !std::all_of(name.begin(), name.end(), is_symbol_char) ||
      (symbol_only && !is_symbol(name)))
    return std::nullopt;
  if (!symbol_only) {
    const size_t slash = place.find('/', plus);
    if (slash == std::string_view::npos) return std::nullopt;
    const auto offset = parse_number(place.substr(plus + 1, slash - plus - 1), 0);
    const auto size = parse_number(place.substr(slash + 1), 0);
    if (!offset || !size || *offset > UINT32_MAX || *size > UINT32_MAX) return std::nullopt;
    frame.offset = static_cast<uint32_t>(*offset);
    frame.size = static_cast<uint32_t>(*size);
  }
  const std::string_view rest = text.substr(blank);
  if (!take_rest(rest, frame, symbol_only && !trim(rest).starts_with("("))) return std::nullopt;
  if (symbol_only && frame.file.empty()) return std::nullopt;
  frame.raw = text.substr(0, kMaxSymbol * 2);
  set_name(name, frame);
  return frame;
}

std::string_view base_function(std::string_view function) {
  for (std::string_view suffix :
       {".isra.", ".constprop.", ".part.", ".cold", ".llvm.", ".lto_priv.", ".clone."}) {
    const size_t at = function.find(suffix);
    if (at != std::string_view::npos && at > 0) function = function.substr(0, at);
  }
  return function;
}

std::optional<TaskName> parse_task_name(std::string_view text) {
  if (text.empty() || text.back() != ']') return std::nullopt;
  const size_t open = text.rfind('[');
  if (open == std::string_view::npos) return std::nullopt;
  auto pid = parse_number(text.substr(open + 1, text.size() - open - 2));
  if (!pid || *pid > INT32_MAX) return std::nullopt;
  return TaskName{text.substr(0, open), static_cast<int>(*pid)};
}

std::optional<TaskName> parse_task_slash(std::string_view text) {
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  const auto pid = parse_number(text.substr(slash + 1));
  if (!pid || *pid > INT32_MAX) return std::nullopt;
  return TaskName{text.substr(0, slash), static_cast<int>(*pid)};
}

}  // namespace ktstr
