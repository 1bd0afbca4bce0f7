// The kernel's own symbol table, decoded from guest memory.
//
// Names are compressed: each is a length and token numbers, each token a short string. Addresses are 32-bit
// numbers in one of two layouts: relative to kallsyms_relative_base, or (newer kernels) to the place of the
// number itself. Which one is found out, not assumed: the one in which the symbols named by VMCOREINFO come
// out right.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "monitor/guest_memory.h"
#include "monitor/vmcoreinfo.h"

namespace ktstr {

struct KallsymsTables {
  uint64_t names = 0, num_syms = 0, token_table = 0, token_index = 0, offsets = 0;
  uint64_t relative_base = 0;  // 0: this kernel has none
  // Errors (kUnsupported): the note does not name them (a kernel older than 6.1).
  static Result<KallsymsTables> from(const VmcoreInfo& info);
};

struct Symbols {
  std::map<std::string, uint64_t, std::less<>> address;
  std::set<std::string, std::less<>>
      ambiguous;          // several symbols of that name at different places: not in `address`
  uint64_t seen = 0;      // symbols looked at
  bool relative = false;  // addresses are relative to kallsyms_relative_base
};

// Decodes the wanted names only. `anchor` is a symbol whose address is known (VMCOREINFO's init_top_pgt): it
// decides the layout and proves the table. Errors: tables unreadable or senseless, no layout agrees with the
// anchor.
struct Anchor {
  std::string name;
  uint64_t address = 0;
};
Result<Symbols> decode_kallsyms(const GuestMemory& memory, const KallsymsTables& tables,
                                const std::vector<std::string>& wanted, const Anchor& anchor);

// "NAME+0x1f" for each address that a symbol is below, of a table that decode_kallsyms() proved; `relative` is its.
std::map<uint64_t, std::string> name_addresses(const GuestMemory& memory, const KallsymsTables& tables,
                                               bool relative, std::vector<uint64_t> addresses);

}  // namespace ktstr
