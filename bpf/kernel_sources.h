// Source lines of kernel functions, from a vmlinux with DWARF (libdw), of any architecture that libdw reads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct SourcePlace {
  std::string line;  // "kernel/sched/ext/ext.c:1907", in the function itself
  struct Inlined {
    std::string function;
    std::string line;  // the call's line in it
  };
  std::vector<Inlined> inlined;  // innermost first: the call is in these, not in `function` as written
};

// Whether an image has a function of a trace, "name+0x8d/0xc0": the size tells one build from another.
enum class SymbolMatch : uint8_t { kNone, kOtherSize, kSame };

class KernelSources {
 public:
  // `vmlinux`: an ELF with symbols and DWARF; a split .debug file too. kInvalid when libdw cannot read it.
  static Result<std::unique_ptr<KernelSources>> open(const std::string& vmlinux);
  virtual ~KernelSources() = default;

  // The source place of `function`; with `offset` (of a return address) the line of the call, and the functions that
  // the compiler inlined around it. Empty where not found. The build's own directories are cut off.
  // `size`: of the function as a trace tells it, so that the right one of several with this name is taken; 0: not told.
  virtual SourcePlace place_of(const std::string& function, uint32_t offset, uint32_t size = 0) = 0;
  virtual SymbolMatch match(const std::string& function, uint32_t size) const = 0;
  // "6.18.2-2-cachyos", of the image's "Linux version …"; empty: it has none (a split .debug file).
  virtual std::string release() const { return {}; }
  virtual bool has_lines() const { return true; }  // false: symbols, but no DWARF
};

// A source path without what only the build machine knows: "../", and all before the tree's top folders.
std::string tidy_source_path(const std::string& path, const std::string& build_dir);

}  // namespace ktstr
