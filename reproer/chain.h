// The crash chain: which functions led to the crash, from what the kernel printed. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {

struct ChainLink {
  std::string function;  // kernel symbol, or BPF function
  bool bpf = false;
  std::string program;  // BPF: the program that holds it; empty when no recorded program does
  std::string tag;      // BPF: as printed
  uint32_t offset = 0;  // of the return address; 0: unknown
  std::string source;   // "file:line", where known
  std::string source_text;
};

enum class ChainOrigin {
  kBacktrace,  // what the kernel printed
  kCallbacks,  // no backtrace: the scheduler's callbacks and who calls them in the kernel
  kStall,      // a stalled task: how tasks are queued and dispatched
  kRefusal,    // a callback returned an error: that callback, and what it called
};

struct CrashChain {
  ChainOrigin origin = ChainOrigin::kBacktrace;
  std::vector<ChainLink> links;  // innermost first
  // Other ways by which the kernel gets to the same callbacks: the second crash may come along one of these.
  std::vector<ChainLink> alternates;
  // Kfuncs through which the scheduler may have done what the kernel objected to: who called them, and where.
  std::vector<ChainLink> kfuncs;
  std::vector<std::pair<std::string, std::string>> dropped;  // function, why
};

// Answers whether the kernel has a function of that name (by its BTF).
using KernelHas = std::function<bool(const std::string&)>;

// What a probe can sit on: of "X.cold", the rarely used part that the compiler moved away, X itself.
std::string probed_name(const ChainFrameT& frame);

// REQUIRES: nothing; a crash without anything usable gives an empty chain. `crash` null: the scheduler's
// process died without a kernel message.
CrashChain extract_chain(const CrashDetectedT* crash, const std::vector<BpfProgramT>& programs,
                         const KernelHas& kernel_has);

}  // namespace ktstr
