#include "launcher/runner/selection.h"

#include <charconv>
#include <random>
#include <utility>

namespace ktstr {
namespace {

// FNV-1a of 64 bits, its halves folded: the standard library's hash differs between machines.
uint64_t name_hash(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001b3u;
  return hash ^ (hash >> 32);
}

bool parse_number(std::string_view text, uint32_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Result<Partition> parse_partition(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return Error::invalid("--partition " + std::string(text) + ": " + why)
        .with_hint("count:K/N or hash:K/N, with K from 1 to N");
  };
  Partition out;
  const size_t colon = text.find(':'), slash = text.find('/');
  if (colon == text.npos || slash == text.npos || slash < colon) return bad("not understood");
  const std::string_view by = text.substr(0, colon);
  if (by != "count" && by != "hash") return bad("neither count nor hash");
  out.by = by == "hash" ? Partition::By::kHash : Partition::By::kCount;
  if (!parse_number(text.substr(colon + 1, slash - colon - 1), out.part) ||
      !parse_number(text.substr(slash + 1), out.parts))
    return bad("K and N are numbers");
  if (out.part < 1 || out.part > out.parts) return bad("there is no such part");
  return out;
}

std::vector<size_t> select_partition(const std::vector<std::string>& names, const Partition& partition) {
  std::vector<size_t> out;
  for (size_t i = 0; i < names.size(); ++i) {
    const uint64_t place = partition.by == Partition::By::kCount ? i : name_hash(names[i]);
    if (place % partition.parts == partition.part - 1) out.push_back(i);
  }
  return out;
}

void shuffle(std::vector<size_t>& order, uint64_t seed) {
  std::mt19937_64 random(seed);
  // std::shuffle's use of the generator is the library's own affair.
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
}

}  // namespace ktstr
