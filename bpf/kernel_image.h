// What a kernel image says about itself, read before anything boots.
//
// Accepts a bzImage ("vmlinuz") whose payload is zstd, xz or gzip, and a bare vmlinux ELF. The payload is taken
// from the offset in the boot header where that leads to a stream, else found by scanning. Every size is bounded;
// truncated, empty and foreign files give an error, never a crash.
// Limits: x86-64 only; other payload compressions (lz4, lzo, bzip2, old lzma) are refused by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct KernelImage {
  std::string path;          // as given
  std::string release;       // "7.3.4+deb13-cloud-amd64"
  std::string banner;        // "Linux version ...", without line end; may be empty
  std::string build_id;      // lower-case hex; empty: the image has no build id note
  std::vector<uint8_t> btf;  // raw .BTF section; empty: none
  bool sched_ext = false;    // BTF knows struct sched_ext_ops
  bool bzimage = false;      // has an x86 boot header (what QEMU's -kernel wants)
};

// kfuncs of sched_ext whose BTF is damaged, in the order of the BTF: the kernel's build left the implicit argument
// (struct bpf_prog_aux *) in the prototype and made no NAME_impl, so the verifier rejects every program that calls one
// ("func_proto … incompatible with vmlinux"). Empty: none, or a kernel before implicit arguments.
std::vector<std::string> damaged_kfuncs(std::span<const uint8_t> btf);
// "scx_bpf_create_dsq, scx_bpf_kick_cpu and 20 more".
std::string kfuncs_text(const std::vector<std::string>& names);

// Reads the file at `path`. Fails when it cannot be read or is not a Linux x86-64 kernel; a kernel without BTF or
// sched_ext is *not* a failure here (see check_kernel_usable).
Result<KernelImage> read_kernel_image(const std::string& path);

// kUnsupported, naming the missing configuration option (CONFIG_DEBUG_INFO_BTF, CONFIG_SCHED_CLASS_EXT).
Status check_kernel_usable(const KernelImage& image);

// The vmlinux ELF inside `image` (decompressed, at most 1 GiB), or a copy of `image` if it is an ELF itself.
Result<std::vector<uint8_t>> extract_kernel_elf(std::span<const uint8_t> image);

// Section `name` of an ELF in memory. kNotFound when there is none.
Result<std::span<const uint8_t>> find_elf_section(std::span<const uint8_t> elf, const char* name);

}  // namespace ktstr
