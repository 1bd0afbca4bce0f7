// KVM or TCG: decided by behaviour. /dev/kvm that opens proves nothing; a guest that prints its first line in
// time does. The verdict is remembered until the host reboots (keyed by boot id, QEMU version and kernel
// image).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/result.h"
#include "schemas/run_generated.h"

namespace ktstr {

enum class AcceleratorWish { kAuto, kKvm, kTcg };

// "auto", "kvm", "tcg"; kInvalid otherwise.
Result<AcceleratorWish> parse_accelerator(const std::string& text);

struct AcceleratorRequest {
  AcceleratorWish wish = AcceleratorWish::kAuto;
  std::string qemu;        // program, from find_qemu()
  std::string kernel;      // image to try with
  std::string kernel_id;   // build id or release: part of the remembered verdict's key
  std::string cache_dir;   // where verdicts are kept; created on need; empty: nothing is remembered
  int timeout_ms = 15000;  // for the guest's first output
  std::string kvm_device = "/dev/kvm";
  bool forget = false;                                    // probe again even when a verdict is remembered
  std::function<void(const std::string& line)> progress;  // may be empty
};

// info.name is "kvm" or "tcg", info.reason is for people. With kKvm a KVM that does not run is an error
// (kUnsupported) that gives the reason and what to do. QEMU processes are gone on return.
Result<AcceleratorInfoT> choose_accelerator(const AcceleratorRequest& request);

// Absolute path of qemu-system-x86_64 ($KTSTR_QEMU's value in `override`, else PATH); kNotFound with the
// package to install.
Result<std::string> find_qemu(const std::string& override, const std::string& path_variable);
// "7.2.22 (Debian ...)": first line of --version without its prefix.
Result<std::string> qemu_version(const std::string& qemu);
// {7, 2} of "7.2.22 (Debian ...)"; zeros when it does not start with a version.
std::pair<int, int> qemu_version_numbers(const std::string& version);
// Vendor of this host's CPUs: a KVM guest's cache topology is told by other means on AMD.
bool host_cpu_is_amd();

}  // namespace ktstr
