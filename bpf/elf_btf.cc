#include "bpf/elf_btf.h"

#include <bpf/btf.h>

namespace ktstr {

Result<std::vector<uint8_t>> read_elf_btf(const std::string& path) {
  struct btf* b = btf__parse(path.c_str(), nullptr);
  if (!b) {
    int err = errno;
    if (err == ENODATA) return Error::not_found(path + ": no BTF in it");
    return Error::from_errno(path + ": read BTF", err);
  }
  uint32_t size = 0;
  const auto* data = static_cast<const uint8_t*>(btf__raw_data(b, &size));
  std::vector<uint8_t> out(data, data + (data ? size : 0));
  btf__free(b);
  return out;
}

}  // namespace ktstr
