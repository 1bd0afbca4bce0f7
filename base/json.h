// JSON by nlohmann/json, parsed and written in one place: the library's parser and writer are large templates, which
// every file that calls them would compile again.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace ktstr {

using Json = nlohmann::json;                 // objects sorted by key
using OrderedJson = nlohmann::ordered_json;  // objects as they were built

// Never throws: text that is no JSON gives a value whose is_discarded() is true (and no other is_…() is).
Json parse_json(std::string_view text);
// The file's content; a file that cannot be read gives a discarded value too.
Json parse_json_file(const std::string& path);

// Never throws: bytes that are not UTF-8 become U+FFFD, code points that steer (base/text.h) are written as \uXXXX: the value is
// the same, and a terminal shows it. `indent` < 0: one line.
std::string json_text(const Json& value, int indent = -1);
std::string json_text(const OrderedJson& value, int indent = -1);

}  // namespace ktstr
