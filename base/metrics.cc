#include "base/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/json.h"

namespace ktstr {
namespace {

constexpr size_t kMaxName = 64;
constexpr size_t kMaxDepth = 4;  // of JSON
constexpr std::array<std::string_view, 9> kUnits = {"", "%", "s", "ms", "us", "ns", "k", "M", "G"};

bool may_be_in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-.:/%@[]#").find(c) != std::string_view::npos;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && std::all_of(name.begin(), name.end(), may_be_in_name);
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value)) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  if (std::find(kUnits.begin(), kUnits.end(), unit) == kUnits.end()) return std::nullopt;
  return value;
}

void add(std::string name, double value, std::vector<Metric>& out) {
  if (out.size() < kMaxMetricsOfALine && is_name(name) && std::isfinite(value))
    out.push_back({std::move(name), value});
}

void walk(const Json& value, const std::string& name, size_t depth, std::vector<Metric>& out) {
  if (value.is_number()) return add(name, value.get<double>(), out);
  if (value.is_boolean()) return add(name, value.get<bool>() ? 1 : 0, out);
  if (!value.is_object() || depth == kMaxDepth) return;
  for (auto it = value.begin(); it != value.end() && out.size() < kMaxMetricsOfALine; ++it)
    walk(it.value(), name.empty() ? it.key() : name + "." + it.key(), depth + 1, out);
}

}  // namespace

std::vector<Metric> metrics_of(std::string_view line) {
  std::vector<Metric> out;
  const size_t first = line.find_first_not_of(" \t");
  if (first != std::string_view::npos && line[first] == '{') {
    walk(parse_json(std::string(line)), "", 0, out);
    return out;
  }
  constexpr std::string_view kBetween = " \t,;";
  for (size_t at = 0; at < line.size();) {
    const size_t begin = line.find_first_not_of(kBetween, at);
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(line.find_first_of(kBetween, begin), line.size());
    const std::string_view word = line.substr(begin, end - begin);
    at = end;
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    if (auto value = number(word.substr(equals + 1))) add(std::string(word.substr(0, equals)), *value, out);
  }
  return out;
}

}  // namespace ktstr
