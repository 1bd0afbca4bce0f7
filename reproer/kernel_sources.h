// Source lines of kernel functions, from a vmlinux with DWARF (libdw).
#pragma once

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

class KernelSources {
 public:
  // `vmlinux`: an ELF with symbols and DWARF. kInvalid when libdw cannot read it.
  static Result<std::unique_ptr<KernelSources>> open(const std::string& vmlinux);
  virtual ~KernelSources() = default;

  // The source place of `function`; with `offset` (of a return address) the line of the call, and the functions that
  // the compiler inlined around it. Empty where not found. The build's own directories are cut off.
  virtual SourcePlace place_of(const std::string& function, uint32_t offset) = 0;
};

// A source path without what only the build machine knows: "../", and all before the tree's top folders.
std::string tidy_source_path(const std::string& path, const std::string& build_dir);

}  // namespace ktstr
