// The bytes of a text as UTF-8 with '\n' at the end of each line: UTF-16 of either order, with a byte order mark or without,
// UTF-8 with a mark, and lines that end with '\r' alone. Learned from the text's first bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ktstr {

class TextEncoding {
 public:
  TextEncoding() = default;
  static TextEncoding of(std::string_view head);

  // True when convert() changes anything: the text cannot be read from its end as it is.
  bool changes() const { return wide_ != Wide::kNone || returns_ || marked_; }
  // The next bytes of the text, in order. The result is good until the next call, and as long as `bytes` is.
  std::string_view convert(std::string_view bytes);

 private:
  enum class Wide : uint8_t { kNone, kLittle, kBig };
  void wide(std::string_view bytes);

  Wide wide_ = Wide::kNone;
  bool returns_ = false, marked_ = false;
  size_t mark_ = 0;  // bytes of the mark that are still to come
  char half_ = 0;    // the first byte of a unit that spans two blocks
  bool has_half_ = false;
  char32_t high_ = 0;  // the first half of a surrogate pair
  std::string out_;
};

}  // namespace ktstr
