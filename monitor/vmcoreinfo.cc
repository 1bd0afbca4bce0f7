#include "monitor/vmcoreinfo.h"

#include <algorithm>
#include <cstring>

#include "base/numbers.h"

namespace ktstr {
namespace {

constexpr uint64_t kPage = 4096;
constexpr size_t kHeader = 24;  // Elf note: three u32, the name "VMCOREINFO\0" padded to 12
constexpr size_t kMaxText = 4 * kPage;

// The note's text if a note is at the start of `page`.
std::optional<std::string> note_at(const RamFile& ram, uint64_t offset) {
  struct {
    uint32_t namesz, descsz, type;
    char name[12];
    char key[10];
  } head;
  if (!ram.read(offset, &head, kHeader + 10)) return std::nullopt;
  if (head.namesz != 11 || std::memcmp(head.name, "VMCOREINFO", 11) != 0) return std::nullopt;
  if (std::memcmp(head.key, "OSRELEASE=", 10) != 0) return std::nullopt;
  if (head.descsz < 10 || head.descsz > kMaxText) return std::nullopt;
  std::string text(head.descsz, '\0');
  if (!ram.read(offset + kHeader, text.data(), text.size())) return std::nullopt;
  text.resize(::strnlen(text.data(), text.size()));
  return text;
}

}  // namespace

VmcoreInfo VmcoreInfo::parse(std::string_view text) {
  VmcoreInfo info;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    info.values_.insert_or_assign(std::string(line.substr(0, equals)), std::string(line.substr(equals + 1)));
  }
  return info;
}

std::string_view VmcoreInfo::text(std::string_view key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? std::string_view() : std::string_view(it->second);
}

std::optional<uint64_t> VmcoreInfo::hex(std::string_view key) const {
  return parse_number<uint64_t>(text(key), 16);
}

std::optional<uint64_t> VmcoreInfo::symbol(std::string_view name) const {
  return hex("SYMBOL(" + std::string(name) + ")");
}

std::optional<int64_t> VmcoreInfo::number(std::string_view name) const {
  return parse_number<int64_t>(text("NUMBER(" + std::string(name) + ")"), 10);
}

Result<FoundVmcoreInfo> find_vmcoreinfo(const RamFile& ram, uint64_t from) {
  for (const ByteRange& range : ram.data_ranges()) {
    uint64_t page = (std::max(range.begin, from) + kPage - 1) & ~(kPage - 1);
    for (; page + kHeader < range.end; page += kPage) {
      if (auto text = note_at(ram, page)) return FoundVmcoreInfo{VmcoreInfo::parse(*text), page};
    }
  }
  return Error::not_found("no VMCOREINFO note in guest RAM yet");
}

}  // namespace ktstr
