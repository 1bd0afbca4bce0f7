#include "explain/pstore_parts.h"

#include <algorithm>
#include <optional>

#include "base/numbers.h"
#include "base/text.h"

namespace ktstr {
namespace {

constexpr size_t kMaxHeldParts = 4u << 20;

struct Header {
  std::string_view dump;
  uint64_t number = 0;
};

// "Oops#1 Part3", "Panic#2 Part1".
std::optional<Header> header_of(std::string_view line) {
  if (line.size() > 64) return std::nullopt;
  line = trim(line);
  if (line.empty() || !is_digit(line.back())) return std::nullopt;
  constexpr std::string_view kPart = " Part";
  const size_t hash = line.find('#'), part = line.find(kPart);
  if (hash == line.npos || part == line.npos || hash == 0 || hash > part) return std::nullopt;
  const std::string_view count = line.substr(hash + 1, part - hash - 1);
  const auto number = parse_number<uint64_t>(line.substr(part + kPart.size()));
  if (!number || !parse_number<uint64_t>(count)) return std::nullopt;
  if (line.substr(0, hash).find(' ') != line.npos) return std::nullopt;
  return Header{line.substr(0, part), *number};
}

}  // namespace

bool PstoreParts::take(std::string_view line, const OnLine& on_line) {
  if (const auto header = header_of(line)) {
    if (header->dump != dump_) finish(on_line);
    dump_ = header->dump;
    parts_.push_back({header->number, {}});
    return true;
  }
  if (dump_.empty()) return false;
  if (held_ + line.size() > kMaxHeldParts) {
    finish(on_line);
    return false;
  }
  held_ += line.size() + 1;
  parts_.back().text.append(line) += '\n';
  return true;
}

void PstoreParts::finish(const OnLine& on_line) {
  std::vector<Part> parts = std::move(parts_);
  parts_.clear();
  dump_.clear();
  held_ = 0;
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.number > b.number; });
  for (const Part& part : parts) {
    std::string_view rest = part.text;
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      on_line(rest.substr(0, end));
      rest.remove_prefix(end + 1);
    }
  }
}

}  // namespace ktstr
