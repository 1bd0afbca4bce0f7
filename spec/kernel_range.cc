#include "spec/kernel_range.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "base/wording.h"

namespace ktstr {
namespace {

using Version = std::vector<unsigned>;

struct Comparison {
  enum class Operator { kEqual, kLess, kAtMost, kGreater, kAtLeast };
  Operator op = Operator::kEqual;
  Version version;

  bool holds(const Version& of) const {
    Version shown = of;
    shown.resize(version.size());
    switch (op) {
      case Operator::kEqual:
        return shown == version;
      case Operator::kLess:
        return shown < version;
      case Operator::kAtMost:
        return shown <= version;
      case Operator::kGreater:
        return shown > version;
      case Operator::kAtLeast:
        return shown >= version;
    }
    return false;
  }
};

// The numbers at the beginning; `rest` is what follows them.
Version leading_numbers(std::string_view text, std::string_view& rest) {
  Version out;
  size_t at = 0;
  while (at < text.size() && is_digit(text[at]) && out.size() < 4) {
    unsigned number = 0;
    for (; at < text.size() && is_digit(text[at]); ++at)
      number = std::min(number * 10 + static_cast<unsigned>(text[at] - '0'), 1'000'000u);
    out.push_back(number);
    if (at + 1 >= text.size() || text[at] != '.' || !is_digit(text[at + 1])) break;
    ++at;
  }
  rest = text.substr(at);
  return out;
}

std::optional<Comparison> parse_one(std::string_view text) {
  using Operator = Comparison::Operator;
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {
      {">=", Operator::kAtLeast}, {"<=", Operator::kAtMost}, {">", Operator::kGreater},
      {"<", Operator::kLess},     {"=", Operator::kEqual},
  };
  Comparison out;
  text = trim(text);
  for (const auto& [word, op] : kOperators) {
    if (!text.starts_with(word)) continue;
    out.op = op;
    text = trim(text.substr(word.size()));
    break;
  }
  std::string_view rest;
  out.version = leading_numbers(text, rest);
  if (out.version.empty() || !rest.empty()) return std::nullopt;
  return out;
}

std::optional<std::vector<Comparison>> parse(std::string_view condition) {
  std::vector<Comparison> out;
  for (size_t at = 0; at <= condition.size();) {
    const size_t end = std::min(condition.find('|', at), condition.size());
    auto one = parse_one(condition.substr(at, end - at));
    if (!one) return std::nullopt;
    out.push_back(std::move(*one));
    at = end + 1;
  }
  return out;
}

}  // namespace

Status check_kernel_condition(std::string_view condition) {
  if (parse(condition)) return {};
  return Error::invalid(in_quotes(condition) + " is no condition on a kernel's version")
      .with_hint("write \">=6.18\", \"<7.3\", \"7.0|7.3\"");
}

std::string unmet_kernel_condition(const std::vector<std::string>& conditions, std::string_view release) {
  std::string_view rest;
  const Version version = leading_numbers(release, rest);
  for (const std::string& condition : conditions) {
    const auto any = parse(condition);
    if (!any || std::none_of(any->begin(), any->end(), [&](const Comparison& c) { return c.holds(version); }))
      return condition;
  }
  return "";
}

}  // namespace ktstr
