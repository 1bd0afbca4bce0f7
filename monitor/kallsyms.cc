#include "monitor/kallsyms.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

#include "base/text.h"

namespace ktstr {
namespace {

constexpr uint64_t kMaxSymbols = 4u << 20;
constexpr size_t kMaxName = 1024;          // the kernel's own KSYM_NAME_LEN is 512
constexpr size_t kTokenTableBytes = 8192;  // 256 tokens; more than any kernel's

// Reads forward through guest memory in large pieces.
class ForwardReader {
 public:
  ForwardReader(const GuestMemory& memory, uint64_t va) : memory_(memory), va_(va) {}

  // The next `size` bytes, or null. Valid until the next call.
  const uint8_t* take(size_t size) {
    if (end_ - begin_ < size && !fill(size)) return nullptr;
    const uint8_t* at = buffer_.data() + begin_;
    begin_ += size;
    return at;
  }

 private:
  bool fill(size_t need) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    while (end_ < need) {
      // Whole pages, so that the last one of the table is read without touching what lies behind it.
      const size_t piece = 4096 - va_ % 4096;
      if (end_ + piece > buffer_.size() || !memory_.read(va_, buffer_.data() + end_, piece)) return false;
      va_ += piece;
      end_ += piece;
    }
    return true;
  }

  const GuestMemory& memory_;
  uint64_t va_;
  std::array<uint8_t, 16384> buffer_;
  size_t begin_ = 0, end_ = 0;
};

// The 256 tokens as strings; each is NUL-terminated in the table.
Result<std::array<std::string, 256>> read_tokens(const GuestMemory& memory, const KallsymsTables& tables) {
  std::array<uint16_t, 256> index;
  if (!memory.read(tables.token_index, index.data(), sizeof index)) {
    return Error::invalid("kallsyms_token_index is not readable");
  }
  std::array<std::string, 256> tokens;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (index[i] >= kTokenTableBytes)
      return Error::invalid("kallsyms_token_index points outside the token table");
    auto token = memory.text(tables.token_table + index[i], 256);
    if (!token) return Error::invalid("kallsyms_token_table is not readable");
    tokens[i] = std::move(*token);
  }
  return tokens;
}

struct Match {
  uint64_t index;
  const std::string* name;
};

uint64_t address_at(const KallsymsTables& tables, bool relative, uint64_t index, uint32_t raw) {
  if (relative) return tables.relative_base + raw;
  return tables.offsets + index * 4 + static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(raw)));
}

// Calls `each` with every symbol's index and name, without its type letter, until it says false.
template <typename Each>
Status each_name(const GuestMemory& memory, const KallsymsTables& tables,
                 const std::array<std::string, 256>& tokens, uint64_t count, Each each) {
  ForwardReader reader(memory, tables.names);
  char name[kMaxName];
  for (uint64_t i = 0; i < count; ++i) {
    const uint8_t* byte = reader.take(1);
    size_t length = byte ? *byte : 0;
    if (byte && (length & 0x80)) {
      byte = reader.take(1);
      if (byte) length = (length & 0x7f) | (static_cast<size_t>(*byte) << 7);
    }
    if (!byte) return Error::invalid("kallsyms_names ends after " + std::to_string(i) + " symbols");
    const uint8_t* numbers = length && length <= 512 ? reader.take(length) : nullptr;
    if (!numbers) return Error::invalid("kallsyms_names is damaged at symbol " + std::to_string(i));
    size_t size = 0;
    for (size_t k = 0; k < length; ++k) {
      const std::string& token = tokens[numbers[k]];
      if (size + token.size() > sizeof name) return Error::invalid("kallsyms: an endless name");
      std::memcpy(name + size, token.data(), token.size());
      size += token.size();
    }
    if (size >= 2 && !each(i, std::string_view(name + 1, size - 1))) break;
  }
  return {};
}

// The table's size, and relative_base as a value instead of its place.
Result<uint32_t> prepare(const GuestMemory& memory, KallsymsTables& tables) {
  const auto count = memory.get<uint32_t>(tables.num_syms);
  if (!count) return Error::invalid("kallsyms_num_syms is not readable");
  if (*count == 0 || *count > kMaxSymbols)
    return Error::invalid("kallsyms_num_syms is senseless: " + std::to_string(*count));
  if (tables.relative_base) {
    const auto base = memory.pointer(tables.relative_base);
    if (!base) return Error::invalid("kallsyms_relative_base is not readable");
    tables.relative_base = *base;
  }
  return *count;
}

}  // namespace

Result<KallsymsTables> KallsymsTables::from(const VmcoreInfo& info) {
  KallsymsTables t;
  const std::pair<const char*, uint64_t*> keys[] = {{"kallsyms_names", &t.names},
                                                    {"kallsyms_num_syms", &t.num_syms},
                                                    {"kallsyms_token_table", &t.token_table},
                                                    {"kallsyms_token_index", &t.token_index},
                                                    {"kallsyms_offsets", &t.offsets}};
  for (const auto& [name, to] : keys) {
    const auto address = info.symbol(name);
    if (!address) return Error::unsupported(std::string("VMCOREINFO does not name ") + name);
    *to = *address;
  }
  t.relative_base = info.symbol("kallsyms_relative_base").value_or(0);
  return t;
}

Result<Symbols> decode_kallsyms(const GuestMemory& memory, const KallsymsTables& tables_in,
                                const std::vector<std::string>& wanted, const Anchor& anchor) {
  KallsymsTables tables = tables_in;
  const bool has_base = tables.relative_base != 0;
  const auto count = prepare(memory, tables);
  if (!count) return count.error();
  auto tokens = read_tokens(memory, tables);
  if (!tokens) return std::move(tokens).error();

  std::unordered_map<std::string_view, const std::string*> names;
  for (const std::string& name : wanted) names.emplace(name, &name);
  names.emplace(anchor.name, &anchor.name);

  std::vector<Match> matches;
  const Status walked = each_name(memory, tables, *tokens, *count, [&](uint64_t i, std::string_view name) {
    const auto it = names.find(name);
    if (it != names.end()) matches.push_back({i, it->second});
    return true;
  });
  if (!walked) return walked.error();

  std::vector<uint32_t> raw(matches.size());
  for (size_t m = 0; m < matches.size(); ++m) {
    const auto value = memory.get<uint32_t>(tables.offsets + matches[m].index * 4);
    if (!value) return Error::invalid("kallsyms_offsets is not readable");
    raw[m] = *value;
  }
  for (const bool relative : {true, false}) {
    if (relative && !has_base) continue;
    Symbols symbols;
    symbols.seen = *count;
    symbols.relative = relative;
    bool proved = false;
    for (size_t m = 0; m < matches.size(); ++m) {
      const uint64_t address = address_at(tables, relative, matches[m].index, raw[m]);
      if (*matches[m].name == anchor.name) proved |= address == anchor.address;
      const auto [it, fresh] = symbols.address.emplace(*matches[m].name, address);
      if (!fresh && it->second != address) symbols.ambiguous.insert(it->first);
    }
    for (const std::string& twice : symbols.ambiguous) symbols.address.erase(twice);
    if (proved) return symbols;
  }
  return Error::invalid("kallsyms does not agree with VMCOREINFO on " + anchor.name);
}

std::map<uint64_t, std::string> name_addresses(const GuestMemory& memory, const KallsymsTables& tables_in,
                                               bool relative, std::vector<uint64_t> addresses) {
  KallsymsTables tables = tables_in;
  const auto count = prepare(memory, tables);
  if (!count) return {};
  const auto tokens = read_tokens(memory, tables);
  if (!tokens) return {};
  auto address = [&](uint64_t index) -> uint64_t {
    const auto raw = memory.get<uint32_t>(tables.offsets + index * 4);
    return raw ? address_at(tables, relative, index, *raw) : 0;
  };
  // The table is in the order of addresses: the last symbol that is not above.
  std::sort(addresses.begin(), addresses.end());
  std::vector<std::pair<uint64_t, uint64_t>> wanted;  // index, address
  for (const uint64_t at : addresses) {
    uint64_t low = 0, high = *count;
    while (low < high) {
      const uint64_t middle = low + (high - low) / 2;
      (address(middle) <= at ? low : high) = address(middle) <= at ? middle + 1 : middle;
    }
    if (low > 0) wanted.emplace_back(low - 1, at);
  }
  std::map<uint64_t, std::string> out;
  auto next = wanted.begin();
  (void)each_name(memory, tables, *tokens, *count, [&](uint64_t i, std::string_view name) {
    for (; next != wanted.end() && next->first <= i; ++next)
      if (next->first == i) out[next->second] = std::string(name) + "+" + hex(next->second - address(i));
    return next != wanted.end();
  });
  return out;
}

}  // namespace ktstr
