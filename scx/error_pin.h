// A pin: what the text of an expected error must look like (expect_scx_bpf_error_contains, …_matches).
//
// The corpus is the scheduler's log followed by the sched_ext dump. Semantics, for both matchers:
//   - both given: both must match (AND).
//   - `contains` is a plain substring, byte for byte. No trimming, no case folding, no normalisation.
//   - `matches` is an RE2 expression, found anywhere in the corpus. `^` and `$` match at the ends of the corpus, `.` does
//     not match a newline; the inline flags (?m), (?s), (?i), (?U) change that. Whitespace counts as written.
//   - the pattern is UTF-8. The corpus need not be: no `.` and no class matches a byte that is not UTF-8; the rest of
//     the corpus matches as usual.
// A pattern that could match without consuming a character is rejected, and so is one that matches any text: such a pin
// passes whatever the scheduler did. regex_scan.h says how that is decided.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace re2 {
class RE2;
}

namespace ktstr {

struct TestSpecT;

struct PinPatterns {
  std::optional<std::string> contains;
  std::optional<std::string> matches;

  bool any() const { return contains || matches; }
};
// Those that a test states; an empty text is none.
PinPatterns pins_of(const TestSpecT& spec);

// Longer patterns are rejected: people cannot read them, and RE2's program grows with them.
inline constexpr size_t kMaxPinBytes = 4096;

// What a pin says of one corpus.
struct PinResult {
  enum class Cause {
    kMatched,
    kDrifted,  // the scheduler failed, with another text: adapt the pin
    kFixed,    // no error in the corpus at all: the bug is gone, or was not reached
  };
  Cause cause = Cause::kMatched;
  bool contains_missed = false;
  bool matches_missed = false;
  std::string
      nearest;  // the corpus line most like the pin; empty when none is like it. Not yet made printable.
  size_t nearest_line = 0;  // its number in the corpus, 1-based; 0 when none

  bool matched() const { return cause == Cause::kMatched; }
};

class ErrorPin {
 public:
  // Errors (kInvalid): neither pattern given, one refused. The message holds the pattern and why, the hint
  // what to write instead.
  static Result<ErrorPin> compile(PinPatterns patterns);

  ErrorPin(ErrorPin&&) noexcept;
  ErrorPin& operator=(ErrorPin&&) noexcept;
  ~ErrorPin();

  // Linear in the corpus. Whether the scheduler failed is known best from the kernel's exit kind; without
  // that word
  // (`scheduler_failed` absent) it is judged by the corpus itself.
  PinResult check(std::string_view corpus, std::optional<bool> scheduler_failed = std::nullopt) const;
  // A line or more for a person: which matcher missed, what it looks like, the nearest text. Empty when
  // matched.
  std::string explain(const PinResult& result) const;

  const PinPatterns& patterns() const { return patterns_; }

 private:
  ErrorPin(PinPatterns patterns, std::unique_ptr<re2::RE2> regex);

  PinPatterns patterns_;
  std::unique_ptr<re2::RE2> regex_;  // null without `matches`
};

// Each alone, for the error of a spec that has two bad patterns.
Status check_pin_contains(std::string_view literal);
Status check_pin_matches(std::string_view pattern);

}  // namespace ktstr
