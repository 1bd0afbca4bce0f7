// Raw BTF of an ELF file (a BPF object, a vmlinux).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

// Section .BTF of the file at `path`; the file itself when it is raw BTF. kNotFound: the ELF has none.
Result<std::vector<uint8_t>> read_elf_btf(const std::string& path);

}  // namespace ktstr
