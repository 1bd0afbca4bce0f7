#include "explain/text_encoding.h"

#include <algorithm>

namespace ktstr {
namespace {

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

}  // namespace

TextEncoding TextEncoding::of(std::string_view head) {
  TextEncoding out;
  if (head.starts_with("\xef\xbb\xbf")) {
    out.mark_ = 3;
  } else if (head.starts_with("\xff\xfe")) {
    out.wide_ = Wide::kLittle;
    out.mark_ = 2;
  } else if (head.starts_with("\xfe\xff")) {
    out.wide_ = Wide::kBig;
    out.mark_ = 2;
  } else if (head.size() >= 16) {
    // Without a mark: nearly all of a log is ASCII, so every other byte is 0.
    size_t even = 0, odd = 0;
    const size_t n = std::min<size_t>(head.size(), 4096) & ~size_t{1};
    for (size_t i = 0; i < n; i += 2) {
      even += head[i] == '\0';
      odd += head[i + 1] == '\0';
    }
    if (odd * 10 > n / 2 * 9 && even * 10 < n / 2) out.wide_ = Wide::kLittle;
    if (even * 10 > n / 2 * 9 && odd * 10 < n / 2) out.wide_ = Wide::kBig;
  }
  if (out.wide_ == Wide::kNone)
    out.returns_ = head.find('\n') == head.npos && std::count(head.begin(), head.end(), '\r') >= 2;
  out.marked_ = out.mark_ != 0;
  return out;
}

std::string_view TextEncoding::convert(std::string_view bytes) {
  const size_t mark = std::min(mark_, bytes.size());
  bytes.remove_prefix(mark);
  mark_ -= mark;
  if (wide_ != Wide::kNone) {
    wide(bytes);
    return out_;
  }
  if (!returns_) return bytes;
  out_.assign(bytes);
  std::replace(out_.begin(), out_.end(), '\r', '\n');
  return out_;
}

void TextEncoding::wide(std::string_view bytes) {
  out_.clear();
  for (const char byte : bytes) {
    if (!has_half_) {
      half_ = byte;
      has_half_ = true;
      continue;
    }
    has_half_ = false;
    const auto first = static_cast<unsigned char>(half_), second = static_cast<unsigned char>(byte);
    const char32_t unit = wide_ == Wide::kLittle ? first | second << 8 : first << 8 | second;
    if (unit >= 0xd800 && unit < 0xdc00) {
      high_ = unit;
    } else if (unit >= 0xdc00 && unit < 0xe000) {
      if (high_) append_utf8(out_, 0x10000 + ((high_ - 0xd800) << 10) + (unit - 0xdc00));
      high_ = 0;
    } else {
      append_utf8(out_, unit);
      high_ = 0;
    }
  }
}

}  // namespace ktstr
