// From what the user said to one kernel that can run sched_ext, or one clear error. Nothing is fetched here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/kernel/kernel_cache.h"
#include "schemas/run_generated.h"

namespace ktstr {

struct KernelChoice {
  std::string flag;         // --kernel's value; empty: not given
  std::string environment;  // KTSTR_KERNEL's value; empty: not set. The flag wins
};

struct ResolvedKernel {
  KernelInfoT info;
};

// A spec is a path when it holds a '/' or names something that exists; else a cached series or release.
//   a file: a bzImage (vmlinuz)
//   a folder: a built source tree (arch/x86/boot/bzImage, and vmlinux for debug info), or a folder with a vmlinuz
//   7.2: the newest cached kernel of that series;  7.2.13+deb14-cloud-amd64: that one
//   empty: the newest cached kernel
// Errors: kNotFound (with what is cached, and `kernel fetch` as hint), kUnsupported (no sched_ext or BTF:
// names the configuration option), kInvalid (not a kernel; a bare vmlinux where a bzImage is needed).
Result<ResolvedKernel> resolve_kernel(const KernelCache& cache, const KernelChoice& choice);

// What --kernel names, with each range "6.16..7.3" as the series in between that are cached, oldest first, both ends included; an end may
// be left out: "6.18..". All else stays as it is. kNotFound: a range with nothing cached in it. kInvalid: ends that are no series.
Result<std::vector<std::string>> expand_kernel_ranges(const KernelCache& cache,
                                                      const std::vector<std::string>& wishes);

// The configuration of the kernel whose image this is: beside it (`config`, `config-RELEASE`), or `.config` of its built tree.
// Programs in the guest look for it in /boot/config-RELEASE (libbpf, for `extern … __kconfig`). Empty: it is not there.
std::string kernel_config_of(const std::string& image, const std::string& release);

}  // namespace ktstr
