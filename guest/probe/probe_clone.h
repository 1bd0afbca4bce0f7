// Copies of the generic probe programs: one for each function of another BPF program, and those of kernel functions with
// the reads of a plan in them (bpf/direct_reads.h).
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <vector>

#include "base/result.h"

struct bpf_program;

namespace ktstr::probe {

struct CloneOptions {
  bpf_program* model = nullptr;   // loaded against a function of the kernel
  int model_types = -1;           // fd of its BTF
  std::vector<bpf_insn> reads{};  // direct_reads(); empty: by helpers
  bool exit = false;              // fexit
  int program = -1;               // fd of the program that holds the function
  uint32_t function = 0;          // its BTF id
  uint64_t cookie = 0;
};

// The fd of the copy, an fentry or fexit. The attachment lasts as long as this process (its link is never closed). kSystem
// when the kernel refuses it.
Result<int> attach_clone(const CloneOptions& options);

// The fd of a copy of a kprobe.multi program, not attached: `model`, `model_types` and `reads` count.
Result<int> load_multi_clone(const CloneOptions& options);

}  // namespace ktstr::probe
