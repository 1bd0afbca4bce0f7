#include "explain/journal.h"

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
  const size_t begin = line.find_first_not_of(" \t");
  if (begin != std::string_view::npos && (line[begin] == '{' || line[begin] == '"') &&
      json(line.substr(begin), on_text))
    return;
  on_text(line, Origin::kUnknown, {});
}

void JournalDecoder::finish(const OnText& on_text) { emit(on_text); }

bool JournalDecoder::json(std::string_view line, const OnText& on_text) {
  if (line.find("\"MESSAGE\"") == std::string_view::npos)
    return line.find("\"__CURSOR\"") != std::string_view::npos;
  std::string object(line);
  if (line.front() == '"') {  // json-pretty: one field a line
    while (object.ends_with(',') || object.ends_with(' ')) object.pop_back();
    object = "{" + object + "}";
  }
  const Json entry = parse_json(object);
  if (!entry.is_object() || !entry.contains("MESSAGE")) return false;
  message_ = text_of(entry["MESSAGE"]).substr(0, kMaxMessage);
  if (entry.contains("SYSLOG_IDENTIFIER")) identifier_ = text_of(entry["SYSLOG_IDENTIFIER"]);
  if (entry.contains("_TRANSPORT") && text_of(entry["_TRANSPORT"]) == "kernel") identifier_ = "kernel";
  if (entry.contains("__REALTIME_TIMESTAMP")) when_ = text_of(entry["__REALTIME_TIMESTAMP"]);
  emit(on_text);
  return true;
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
