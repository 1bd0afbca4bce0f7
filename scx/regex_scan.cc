#include "scx/regex_scan.h"

#include <cstddef>

namespace ktstr {
namespace {

enum class Piece { kLiteral, kAssertion, kOther };

bool is_octal(char c) { return c >= '0' && c <= '7'; }

// Walks over an expression that RE2 has accepted, one piece at a time.
class Scanner {
 public:
  explicit Scanner(std::string_view pattern) : text_(pattern) {}

  bool done() const { return at_ >= text_.size(); }
  std::string_view source() const { return text_.substr(start_, at_ - start_); }
  // Of a kLiteral piece: the characters it matches.
  std::string_view literal() const { return literal_; }

  Piece next() {
    start_ = at_;
    if (in_quote_) return quoted();
    char c = text_[at_];
    switch (c) {
      case '\\':
        return escape();
      case '[':
        skip_class();
        return Piece::kOther;
      case '(':
        skip_group_head();
        return Piece::kOther;
      case '^':
      case '$':
        ++at_;
        return Piece::kAssertion;
      case ')':
      case '|':
      case '.':
      case '*':
      case '+':
      case '?':
        ++at_;
        return Piece::kOther;
      case '{':
        skip_counts();
        return Piece::kOther;
      default:
        literal_ = text_.substr(at_++, 1);
        return Piece::kLiteral;
    }
  }

 private:
  char peek(size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  void skip(size_t count) { at_ = std::min(at_ + count, text_.size()); }
  void skip_past(std::string_view end) {
    size_t found = text_.find(end, at_);
    at_ = found == std::string_view::npos ? text_.size() : found + end.size();
  }

  Piece quoted() {
    size_t end = text_.find("\\E", at_);
    literal_ = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
    at_ += literal_.size();
    skip(2);
    in_quote_ = false;
    return Piece::kLiteral;
  }

  Piece escape() {
    char c = peek(1);
    literal_ = text_.substr(at_ + 1, 1);
    skip(2);
    switch (c) {
      case 'A':
      case 'z':
      case 'b':
      case 'B':
        return Piece::kAssertion;
      case 'Q':
        in_quote_ = !done();
        return Piece::kOther;
      case 'p':
      case 'P':
        if (peek(0) == '{')
          skip_past("}");
        else
          skip(1);
        return Piece::kOther;
      case 'x':
        if (peek(0) == '{')
          skip_past("}");
        else
          skip(2);
        return Piece::kOther;
      default:
        break;
    }
    if (is_octal(c)) {
      for (int i = 0; i < 2 && is_octal(peek(0)); ++i) ++at_;
      return Piece::kOther;
    }
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter ? Piece::kOther : Piece::kLiteral;
  }

  void skip_class() {
    ++at_;
    if (peek(0) == '^') ++at_;
    for (bool first = true; !done(); first = false) {
      if (peek(0) == ']' && !first) break;
      if (peek(0) == '\\') {
        skip(2);
      } else if (peek(0) == '[' && peek(1) == ':' && text_.find(":]", at_ + 2) != std::string_view::npos) {
        at_ += 2;
        skip_past(":]");
      } else {
        ++at_;
      }
    }
    skip(1);
  }

  // "(", "(?:", "(?i)", "(?P<name>": letters of flags and names are not text of the expression.
  void skip_group_head() {
    ++at_;
    if (peek(0) != '?') return;
    size_t end = text_.find_first_of(":)>", at_);
    at_ = end == std::string_view::npos ? text_.size() : end + 1;
  }

  // "{3}", "{2,}", "{2,5}"; anything else after a '{' is a plain brace.
  void skip_counts() {
    size_t end = text_.find_first_not_of("0123456789,", at_ + 1);
    at_ = end != std::string_view::npos && text_[end] == '}' ? end + 1 : at_ + 1;
  }

  std::string_view text_;
  std::string_view literal_;
  size_t at_ = 0;
  size_t start_ = 0;
  bool in_quote_ = false;
};

}  // namespace

std::string without_assertions(std::string_view pattern) {
  std::string out;
  Scanner scanner(pattern);
  while (!scanner.done()) {
    if (scanner.next() == Piece::kAssertion)
      out += "(?:)";
    else
      out += scanner.source();
  }
  return out;
}

std::string literal_text(std::string_view pattern) {
  std::string out;
  Scanner scanner(pattern);
  while (!scanner.done()) {
    if (scanner.next() == Piece::kLiteral)
      out += scanner.literal();
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

}  // namespace ktstr
