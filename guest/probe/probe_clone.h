// Attaches a copy of a generic fentry or fexit program to one function of another BPF program.
#pragma once

#include <cstdint>

#include "base/result.h"

struct bpf_program;

namespace ktstr::probe {

struct CloneOptions {
  bpf_program* model = nullptr;  // loaded against a function of the kernel
  int model_types = -1;          // fd of its BTF
  bool exit = false;             // fexit
  int program = -1;              // fd of the program that holds the function
  uint32_t function = 0;         // its BTF id
  uint64_t cookie = 0;
};

// The fd of the copy. The attachment lasts as long as this process (its link is never closed). kSystem when
// the kernel refuses it.
Result<int> attach_clone(const CloneOptions& options);

}  // namespace ktstr::probe
