// VMCOREINFO: the note in which a kernel says where it is in memory (KASLR offset, page tables). It starts at a
// page boundary, so a scan of the pages finds it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "monitor/ram_file.h"

namespace ktstr {

class VmcoreInfo {
 public:
  // Text is "KEY=VALUE" lines; unknown lines are kept, broken ones skipped.
  static VmcoreInfo parse(std::string_view text);

  std::string_view text(std::string_view key) const;            // "OSRELEASE"; empty: not there
  std::optional<uint64_t> symbol(std::string_view name) const;  // SYMBOL(name)=HEX
  std::optional<int64_t> number(std::string_view name) const;   // NUMBER(name)=DEC, signed
  std::optional<uint64_t> hex(std::string_view key) const;      // KERNELOFFSET=HEX

  std::string_view release() const { return text("OSRELEASE"); }
  std::string_view build_id() const { return text("BUILD-ID"); }
  uint64_t kaslr_offset() const { return hex("KERNELOFFSET").value_or(0); }

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// Looks through the pages of RAM that hold data. Errors: kNotFound while the kernel has not written its note.
// The newest of several is not known: the caller checks (KernelImage does) and says which offset to look
// beyond.
struct FoundVmcoreInfo {
  VmcoreInfo info;
  uint64_t offset = 0;  // in the RAM file
};
Result<FoundVmcoreInfo> find_vmcoreinfo(const RamFile& ram, uint64_t from = 0);

}  // namespace ktstr
