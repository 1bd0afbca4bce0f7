#include "explain/text_characters.h"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/text.h"

namespace ktstr {
namespace {

struct Replacement {
  std::string_view from, to;
};
constexpr Replacement kEntities[] = {{"&gt;", ">"},   {"&lt;", "<"},   {"&quot;", "\""}, {"&apos;", "'"},
                                     {"&#39;", "'"},  {"&#x27;", "'"}, {"&#34;", "\""},  {"&#x22;", "\""},
                                     {"&nbsp;", " "}, {"&#160;", " "}, {"&#43;", "+"},   {"&#x2F;", "/"},
                                     {"&#47;", "/"},  {"&#61;", "="},  {"&#x3D;", "="},  {"&amp;", "&"}};
constexpr Replacement kTypographic[] = {{"\u00a0", " "}, {"\u2009", " "},  {"\u202f", " "},   {"\u2018", "'"},
                                        {"\u2019", "'"}, {"\u201c", "\""}, {"\u201d", "\""},  {"\u2013", "-"},
                                        {"\u2011", "-"}, {"\u200b", ""},   {"\u2026", "..."}, {"\ufeff", ""}};
constexpr size_t kMaxJoined = 64u << 10;

template <size_t N>
bool replace_one(std::string_view rest, const Replacement (&table)[N], std::string& out, size_t& taken) {
  for (const Replacement& row : table) {
    if (!rest.starts_with(row.from)) continue;
    out += row.to;
    taken = row.from.size();
    return true;
  }
  return false;
}

int hex_digit(char c) {
  return is_digit(c)            ? c - '0'
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                : -1;
}

// "=3D" is "=".
std::string printable_less(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '=' && i + 2 < line.size() && hex_digit(line[i + 1]) >= 0 && hex_digit(line[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(line[i + 1]) * 16 + hex_digit(line[i + 2]));
      i += 2;
    } else {
      out += line[i];
    }
  }
  return out;
}

}  // namespace

TextCharacters TextCharacters::of(std::string_view head) {
  TextCharacters out;
  auto any = [&](std::initializer_list<std::string_view> words) {
    return std::any_of(words.begin(), words.end(),
                       [&](std::string_view w) { return head.find(w) != head.npos; });
  };
  out.entities_ = any({"&gt;", "&lt;", "&quot;", "&#39;", "&#x27;", "&nbsp;", "&#34;"});
  out.typographic_ = std::any_of(std::begin(kTypographic), std::end(kTypographic),
                                 [&](const Replacement& row) { return head.find(row.from) != head.npos; });
  out.carets_ = any({"^[["});
  // Quoted-printable breaks a line after 75 characters, with "=" at its end.
  constexpr size_t kBroken = 76;
  bool broken = false, any_break = false;
  for (size_t begin = 0; begin < head.size();) {
    const size_t end = std::min(head.find('\n', begin), head.size());
    std::string_view line = head.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    any_break = any_break || (line.ends_with('=') && !line.ends_with("=="));
    broken = broken || (line.size() == kBroken && line.ends_with('=') && !line.ends_with("=="));
    begin = end + 1;
  }
  out.printable_ = broken || (any_break && any({"=3D"}));
  return out;
}

std::optional<std::string_view> TextCharacters::line(std::string_view raw) {
  if (printable_) {
    const bool goes_on = raw.ends_with('=') && begun_.size() < kMaxJoined;
    if (goes_on) raw.remove_suffix(1);
    begun_ += raw;
    if (goes_on) return std::nullopt;
    out_ = printable_less(begun_);
    begun_.clear();
    raw = out_;
  }
  const auto special = [&](char c) {
    return (entities_ && c == '&') || (carets_ && c == '^') || (typographic_ && (c & 0x80));
  };
  if (std::none_of(raw.begin(), raw.end(), special)) return raw;
  std::string out;
  out.reserve(raw.size());
  while (!raw.empty()) {
    size_t taken = 0;
    if (entities_ && raw.front() == '&' && replace_one(raw, kEntities, out, taken)) {
    } else if (typographic_ && (raw.front() & 0x80) && replace_one(raw, kTypographic, out, taken)) {
    } else if (carets_ && raw.starts_with("^[[")) {
      taken = 3;
      while (taken < raw.size() && (is_digit(raw[taken]) || raw[taken] == ';' || raw[taken] == '?')) ++taken;
      if (taken < raw.size()) ++taken;
    } else {
      out += raw.front();
      taken = 1;
    }
    raw.remove_prefix(taken);
  }
  out_ = std::move(out);
  return out_;
}

}  // namespace ktstr
