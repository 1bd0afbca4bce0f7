#include "explain/journal.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/json.h"
#include "base/numbers.h"
#include "base/text.h"

namespace ktstr {
namespace {

constexpr size_t kMaxMessage = 256u << 10;

std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string out;  // bytes that are no UTF-8: an array of numbers
  if (value.is_array())
    for (const Json& byte : value)
      if (byte.is_number_unsigned() && out.size() < kMaxMessage)
        out += static_cast<char>(byte.get<unsigned>());
  return out;
}

}  // namespace

void JournalDecoder::feed(std::string_view line, const OnText& on_text) {
  const PstoreParts::OnLine on_line = [&](std::string_view held) { message(held, on_text); };
  if (parts_.take(line, on_line)) return;
  message(line, on_text);
}

void JournalDecoder::finish(const OnText& on_text) {
  parts_.finish([&](std::string_view held) { message(held, on_text); });
  if (!fragments_.empty()) one(std::exchange(fragments_, {}), on_text);
  emit(on_text);
}

// A text that stands inside one string: its line ends are two characters.
void JournalDecoder::message(std::string_view line, const OnText& on_text) {
  constexpr std::string_view kEnd = "\\n";
  constexpr size_t kLeastEnds = 3;
  if (line.size() < 120 || line.front() == '{' || line.find('\\') == line.npos) return one(line, on_text);
  size_t ends = 0;
  for (size_t at = line.find(kEnd); at != line.npos && ends < kLeastEnds; at = line.find(kEnd, at + 2))
    ++ends;
  if (ends < kLeastEnds) return one(line, on_text);
  while (!line.empty()) {
    const size_t end = line.find(kEnd);
    const std::string_view part = line.substr(0, end);
    line.remove_prefix(end == line.npos ? line.size() : end + 2);
    std::string plain;
    for (size_t i = 0; i < part.size(); ++i) {
      if (part[i] == '\\' && i + 1 < part.size()) {
        ++i;
        if (part[i] != 'r') plain += part[i] == 't' ? '\t' : part[i];
      } else {
        plain += part[i];
      }
    }
    while (plain.starts_with('"') || plain.starts_with('\'')) plain.erase(0, 1);
    one(plain, on_text);
  }
}

void JournalDecoder::one(std::string_view line, const OnText& on_text) {
  if (line.starts_with("__CURSOR=")) {
    emit(on_text);
    export_ = true;
    return;
  }
  if (export_) {
    if (export_field(line, on_text)) return;
    emit(on_text);
    export_ = false;
  }
  size_t begin = 0;
  while (begin < line.size() && (line[begin] == ' ' || line[begin] == '\t')) ++begin;
  if (begin < line.size()) {
    const char c = line[begin];
    if ((c == '{' || c == '"' || c == '}' || (c == '[' && line.substr(begin, 2) == "[{")) &&
        json(line.substr(begin), on_text))
      return;
    // printk's dictionary, below its message in /dev/kmsg.
    if (begin == 1 && (line.starts_with(" SUBSYSTEM=") || line.starts_with(" DEVICE="))) return;
    if ((is_digit(c) || fragments_left_ != 0) && fragment(line, on_text)) return;
  }
  on_text(line, Origin::kUnknown, {});
}

// "4,900,100000000,-,ncfrag=0/1200;text": the message's bytes from 0 of 1200.
bool JournalDecoder::fragment(std::string_view line, const OnText& on_text) {
  constexpr std::string_view kKey = ",ncfrag=";
  const size_t key = line.substr(0, 160).find(kKey);
  const size_t semicolon = key == line.npos ? key : line.find(';', key);
  if (semicolon == line.npos) {
    if (std::exchange(fragments_left_, 0) != 0) one(std::exchange(fragments_, {}), on_text);
    return false;
  }
  const std::string_view numbers = line.substr(key + kKey.size(), semicolon - key - kKey.size());
  const size_t slash = std::min(numbers.find('/'), numbers.size());
  const auto offset = parse_number<uint32_t>(numbers.substr(0, slash));
  const auto size = parse_number<uint32_t>(numbers.substr(std::min(slash + 1, numbers.size())));
  if (!offset || !size || *size > kMaxMessage) return false;
  const std::string_view text = line.substr(semicolon + 1);
  if (*offset == 0 || fragments_left_ == 0) {
    if (!fragments_.empty()) one(std::exchange(fragments_, {}), on_text);
    fragments_.assign(line.substr(0, key)) += ';';
    fragments_left_ = *size - std::min(*size, *offset);
  }
  fragments_ += text;
  fragments_left_ -= std::min(fragments_left_, text.size());
  if (fragments_left_ == 0) one(std::exchange(fragments_, {}), on_text);
  return true;
}

void JournalDecoder::field(const std::string& key, const Json& value) {
  // What journald, dmesg, Docker and log shippers call the message.
  static constexpr std::string_view kMessages[] = {"MESSAGE", "msg",    "message", "log", "@message",
                                                   "text",    "output", "line",    "body"};
  if (std::find(std::begin(kMessages), std::end(kMessages), key) != std::end(kMessages)) {
    if (message_.empty()) message_ = text_of(value).substr(0, kMaxMessage);
  } else if (key == "SYSLOG_IDENTIFIER" && identifier_ != "kernel") {
    identifier_ = text_of(value).substr(0, 128);
  } else if ((key == "_TRANSPORT" && text_of(value) == "kernel") || (key == "pri" && value.is_number())) {
    identifier_ = "kernel";
  } else if (key == "__REALTIME_TIMESTAMP") {
    when_ = text_of(value).substr(0, 32);
  } else if (key == "time" && value.is_number()) {
    when_ = value.dump();
  }
}

// All messages in a value; false: it has none.
bool JournalDecoder::entries(const Json& value, int depth, const OnText& on_text) {
  constexpr int kDeepest = 4;
  if (depth > kDeepest) return false;
  bool any = false;
  if (value.is_array()) {
    for (const Json& inner : value)
      if (inner.is_object() || inner.is_array()) any = entries(inner, depth + 1, on_text) || any;
    return any;
  }
  if (!value.is_object()) return false;
  for (const auto& [key, inner] : value.items()) field(key, inner);
  any = !message_.empty() || value.contains("__CURSOR");
  emit(on_text);
  if (any) return true;
  for (const auto& [key, inner] : value.items())
    if (inner.is_object() || inner.is_array()) any = entries(inner, depth + 1, on_text) || any;
  return any;
}

bool JournalDecoder::json(std::string_view line, const OnText& on_text) {
  if (line.size() > 2 && (line.front() == '{' || line.front() == '[')) {
    while (line.ends_with(',') || line.ends_with(' ')) line.remove_suffix(1);
    if (line.ends_with('}') || line.ends_with(']')) {
      const Json value = parse_json(std::string(line));
      if (entries(value, 0, on_text)) return true;
    }
    if (line.front() == '[') return false;
  }
  return pretty(line, on_text);
}

// One field a line: "{", "   \"MESSAGE\" : \"text\",", "},{".
bool JournalDecoder::pretty(std::string_view line, const OnText& on_text) {
  while (line.ends_with(' ')) line.remove_suffix(1);
  if (line == "{" || line == "}" || line == "}," || line == "},{" || line == "}, {") {
    emit(on_text);
    const bool swallowed = pretty_ || line == "{";
    pretty_ = line.ends_with('{') || (pretty_ && line.ends_with(','));
    return swallowed;
  }
  if (line.front() != '"') return false;
  const size_t close = line.find('"', 1);
  if (close == line.npos) return false;
  std::string_view rest = line.substr(close + 1);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  if (!rest.starts_with(":")) return false;
  std::string object(line);
  while (object.ends_with(',') || object.ends_with(' ')) object.pop_back();
  if (object.ends_with('[') || object.ends_with('{')) return pretty_;
  const Json entry = parse_json("{" + object + "}");
  if (!entry.is_object()) return false;
  const bool had = !message_.empty();
  for (const auto& [key, value] : entry.items()) {
    // The braces are lost: the next entry begins.
    if (had && !pretty_ && (key == "MESSAGE" || key == "msg")) emit(on_text);
    field(key, value);
  }
  return pretty_ || had || !message_.empty();
}

bool JournalDecoder::export_field(std::string_view line, const OnText& on_text) {
  if (binary_) {
    if (skip_length_ && line.size() >= 8) line.remove_prefix(8);  // its length, 64 bits
    const bool first = std::exchange(skip_length_, false);
    // The field ends where the next one begins.
    size_t i = 0;
    while (i < line.size() && ((line[i] >= 'A' && line[i] <= 'Z') || line[i] == '_' || is_digit(line[i])))
      ++i;
    const bool field = i > 2 && i < line.size() && line[i] == '=';
    if (first || (!field && !line.empty())) {
      if (message_.size() + line.size() < kMaxMessage) message_ += (first ? "" : "\n") + std::string(line);
      return true;
    }
    binary_ = false;
  }
  if (line.empty()) {
    emit(on_text);
    return true;
  }
  if (line == "MESSAGE") return binary_ = skip_length_ = true;
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos)
    return line.find(' ') == std::string_view::npos;  // another binary field
  const std::string_view key = line.substr(0, equals), value = line.substr(equals + 1);
  for (char c : key)
    if (!(c >= 'A' && c <= 'Z') && c != '_' && !is_digit(c)) return false;
  if (key == "MESSAGE") message_ = value.substr(0, kMaxMessage);
  if (key == "SYSLOG_IDENTIFIER" && identifier_.empty()) identifier_ = value.substr(0, 128);
  if (key == "_TRANSPORT" && value == "kernel") identifier_ = "kernel";
  if (key == "__REALTIME_TIMESTAMP") when_ = value.substr(0, 32);
  return true;
}

void JournalDecoder::emit(const OnText& on_text) {
  if (!message_.empty()) {
    const Origin origin = identifier_ == "kernel" ? Origin::kKernel
                          : identifier_.empty()   ? Origin::kUnknown
                                                  : Origin::kProcess;
    std::string_view rest = message_;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      on_text(rest.substr(0, end), origin, when_);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
  }
  message_.clear();
  identifier_.clear();
  when_.clear();
}

}  // namespace ktstr
