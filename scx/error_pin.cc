#include "scx/error_pin.h"

#include <re2/re2.h>

#include <algorithm>
#include <bitset>
#include <vector>

#include "base/wording.h"
#include "schemas/spec_generated.h"
#include "scx/regex_scan.h"

namespace ktstr {
namespace {

constexpr std::string_view kContains = "expect_scx_bpf_error_contains";
constexpr std::string_view kMatches = "expect_scx_bpf_error_matches";

// The nearest line is looked for in this much of the corpus' end, and in this much of a line.
constexpr size_t kNearestCorpusBytes = 16u << 20;
constexpr size_t kNearestLineBytes = 512;
// A line is "near" when it holds at least this share of the pin's trigrams.
constexpr double kNearEnough = 0.3;

RE2::Options pin_options() {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(64 << 20);
  return options;
}

std::string_view advice(RE2::ErrorCode code) {
  switch (code) {
    case RE2::ErrorBadEscape:
    case RE2::ErrorBadPerlOp:
      return "RE2 knows no look-around and no back-references, and a backslash needs a known letter or a "
             "punctuation "
             "mark after it; for text without wildcards use expect_scx_bpf_error_contains, where nothing is "
             "escaped";
    case RE2::ErrorMissingParen:
    case RE2::ErrorUnexpectedParen:
    case RE2::ErrorMissingBracket:
      return "close every group and class, and write a literal bracket with a backslash: \\( \\) \\[ \\]";
    case RE2::ErrorRepeatArgument:
    case RE2::ErrorRepeatSize:
    case RE2::ErrorRepeatOp:
      return "give the repetition something to repeat, at most 1000 times, and write a literal sign with a "
             "backslash: "
             "\\* \\+ \\?";
    default:
      return "for text without wildcards use expect_scx_bpf_error_contains, where nothing is escaped";
  }
}

Error refused(std::string_view attribute, std::string_view pattern, std::string_view why,
              std::string_view hint) {
  return Error::invalid(std::string(attribute) + " = " + in_quotes(pattern) + ": " + std::string(why))
      .with_hint(std::string(hint));
}

bool matches_any_letter(const RE2& regex) {
  for (char c = 'a'; c <= 'z'; ++c)
    if (!RE2::PartialMatch(re2::StringPiece(&c, 1), regex)) return false;
  return true;
}

Result<std::unique_ptr<RE2>> compile_regex(std::string_view pattern) {
  if (pattern.empty())
    return refused(kMatches, pattern, "an empty pattern matches every text",
                   "write a part of the expected error's text, or leave the attribute out");
  if (pattern.size() > kMaxPinBytes)
    return refused(kMatches, pattern, "the pattern is longer than " + std::to_string(kMaxPinBytes) + " bytes",
                   "pin the part of the text that tells this error from others");
  auto regex = std::make_unique<RE2>(re2::StringPiece(pattern.data(), pattern.size()), pin_options());
  if (!regex->ok())
    return refused(kMatches, pattern, "not a valid RE2 expression: " + regex->error(),
                   advice(regex->error_code()));

  RE2 bare(without_assertions(pattern), pin_options());
  if (!bare.ok() || RE2::FullMatch("", bare))
    return refused(kMatches, pattern,
                   "it can match without consuming a character, so it says nothing about the error",
                   "write a part of the expected error's text that must be there, such as \"" +
                       std::string("apply_cell_config returned -E[A-Z]+\""));
  if (matches_any_letter(*regex))
    return refused(kMatches, pattern,
                   "it matches any text that has a letter in it, so it says nothing about the error",
                   "write a part of the expected error's text that must be there");
  return regex;
}

// Does the corpus speak of a scheduler's error at all? Used only without better knowledge.
bool tells_of_an_error(std::string_view corpus) {
  for (std::string_view mark :
       {"triggered exit kind", "scx_bpf_error", "runtime error", "runnable task stall",
        "Error:", "error:", "panicked", "Segmentation fault"}) {
    if (corpus.find(mark) != std::string_view::npos) return true;
  }
  return false;
}

// Three bytes folded to an index; collisions only blur the likeness.
size_t trigram(const char* at) {
  auto byte = [&](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(at[i])); };
  return (byte(0) * 31u * 31u + byte(1) * 31u + byte(2)) & 0xffffu;
}
using TrigramSet = std::bitset<0x10000>;

struct NearLine {
  std::string_view text;
  size_t number = 0;
};

// The line that holds most of the pin's trigrams, the earliest of equals; one pass.
NearLine nearest_line(std::string_view wanted, std::string_view corpus) {
  NearLine best;
  if (wanted.size() < 3) return best;
  auto wanted_set = std::make_unique<TrigramSet>();
  for (size_t i = 0; i + 3 <= wanted.size(); ++i) wanted_set->set(trigram(wanted.data() + i));
  const double total = static_cast<double>(wanted_set->count());

  size_t number = 1;
  if (corpus.size() > kNearestCorpusBytes) {
    size_t cut = corpus.size() - kNearestCorpusBytes;
    number += static_cast<size_t>(
        std::count(corpus.begin(), corpus.begin() + static_cast<std::ptrdiff_t>(cut), '\n'));
    corpus.remove_prefix(cut);
  }
  double best_score = kNearEnough;
  auto seen = std::make_unique<TrigramSet>();
  std::vector<size_t> touched;
  for (size_t at = 0; at < corpus.size(); ++number) {
    size_t end = std::min(corpus.find('\n', at), corpus.size());
    std::string_view line = corpus.substr(at, std::min(end - at, kNearestLineBytes));
    for (size_t i = 0; i + 3 <= line.size(); ++i) {
      size_t index = trigram(line.data() + i);
      if (!wanted_set->test(index) || seen->test(index)) continue;
      seen->set(index);
      touched.push_back(index);
    }
    double score = static_cast<double>(touched.size()) / total;
    if (score > best_score) {
      best_score = score;
      best = {line, number};
    }
    for (size_t index : touched) seen->reset(index);
    touched.clear();
    at = end + 1;
  }
  return best;
}

}  // namespace

PinPatterns pins_of(const TestSpecT& spec) {
  PinPatterns pins;
  if (!spec.expect_scx_bpf_error_contains.empty()) pins.contains = spec.expect_scx_bpf_error_contains;
  if (!spec.expect_scx_bpf_error_matches.empty()) pins.matches = spec.expect_scx_bpf_error_matches;
  return pins;
}

ErrorPin::ErrorPin(PinPatterns patterns, std::unique_ptr<re2::RE2> regex)
    : patterns_(std::move(patterns)), regex_(std::move(regex)) {}
ErrorPin::ErrorPin(ErrorPin&&) noexcept = default;
ErrorPin& ErrorPin::operator=(ErrorPin&&) noexcept = default;
ErrorPin::~ErrorPin() = default;

Status check_pin_contains(std::string_view literal) {
  if (literal.empty())
    return refused(kContains, literal, "an empty text is part of every text",
                   "write a part of the expected error's text, or leave the attribute out");
  if (literal.size() > kMaxPinBytes)
    return refused(kContains, literal, "the text is longer than " + std::to_string(kMaxPinBytes) + " bytes",
                   "pin the part of the text that tells this error from others");
  return {};
}

Status check_pin_matches(std::string_view pattern) {
  auto regex = compile_regex(pattern);
  if (!regex) return std::move(regex).error();
  return {};
}

Result<ErrorPin> ErrorPin::compile(PinPatterns patterns) {
  if (!patterns.contains && !patterns.matches) return Error::invalid("a pin needs a text or an expression");
  if (patterns.contains) {
    if (Status status = check_pin_contains(*patterns.contains); !status) return std::move(status).error();
  }
  std::unique_ptr<RE2> regex;
  if (patterns.matches) {
    auto compiled = compile_regex(*patterns.matches);
    if (!compiled) return std::move(compiled).error();
    regex = std::move(*compiled);
  }
  return ErrorPin(std::move(patterns), std::move(regex));
}

PinResult ErrorPin::check(std::string_view corpus, std::optional<bool> scheduler_failed) const {
  PinResult result;
  result.contains_missed = patterns_.contains && corpus.find(*patterns_.contains) == std::string_view::npos;
  result.matches_missed =
      regex_ && !RE2::PartialMatch(re2::StringPiece(corpus.data(), corpus.size()), *regex_);
  if (!result.contains_missed && !result.matches_missed) return result;

  bool failed = scheduler_failed ? *scheduler_failed : tells_of_an_error(corpus);
  result.cause = failed ? PinResult::Cause::kDrifted : PinResult::Cause::kFixed;
  std::string wanted = result.contains_missed ? *patterns_.contains : literal_text(*patterns_.matches);
  NearLine near = nearest_line(wanted, corpus);
  result.nearest = std::string(near.text);
  result.nearest_line = near.number;
  return result;
}

std::string ErrorPin::explain(const PinResult& result) const {
  if (result.matched()) return "";
  std::string out;
  auto add = [&](const std::string& line) { out += out.empty() ? line : "\n" + line; };
  if (result.contains_missed)
    add(std::string(kContains) + " = " + in_quotes(*patterns_.contains) + ": not in the corpus");
  if (result.matches_missed)
    add(std::string(kMatches) + " = " + in_quotes(*patterns_.matches) + ": no match in the corpus");
  if (result.cause == PinResult::Cause::kFixed) {
    add("looks like: bug is fixed (the corpus holds no error at all); if so, delete this regression test");
    return out;
  }
  add("looks like: error text drifted (the scheduler failed, with another text); if it is the same bug, "
      "adapt the pin");
  if (result.nearest_line != 0)
    add("nearest text: line " + std::to_string(result.nearest_line) + ": " + in_quotes(result.nearest));
  return out;
}

}  // namespace ktstr
