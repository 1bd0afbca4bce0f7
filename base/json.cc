#include "base/json.h"

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "base/text.h"

namespace ktstr {

Json parse_json(std::string_view text) { return Json::parse(text, nullptr, /*allow_exceptions=*/false); }

Json parse_json_file(const std::string& path) {
  std::ifstream file(path);
  return Json::parse(file, nullptr, /*allow_exceptions=*/false);
}

namespace {

void append_escape(std::string& out, char32_t unit) {
  char text[16];
  std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(unit));
  out += text;
}

// What steers stands within a string: all else of JSON is ASCII.
std::string without_steering(std::string text) {
  const auto high = [](char c) { return static_cast<unsigned char>(c) >= 0x7f; };
  if (std::none_of(text.begin(), text.end(), high)) return text;
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint point =
        high(text[i]) ? first_code_point(std::string_view(text).substr(i)) : CodePoint{0, 1};
    const size_t length = std::max<size_t>(point.length, 1);
    if (!steers(point.value)) {
      out.append(text, i, length);
    } else if (point.value < 0x10000) {
      append_escape(out, point.value);
    } else {
      append_escape(out, 0xd800 + ((point.value - 0x10000) >> 10));
      append_escape(out, 0xdc00 + ((point.value - 0x10000) & 0x3ff));
    }
    i += length;
  }
  return out;
}

}  // namespace

std::string json_text(const Json& value, int indent) {
  return without_steering(value.dump(indent, ' ', false, Json::error_handler_t::replace));
}

std::string json_text(const OrderedJson& value, int indent) {
  return without_steering(value.dump(indent, ' ', false, OrderedJson::error_handler_t::replace));
}

}  // namespace ktstr
