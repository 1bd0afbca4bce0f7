// The programs of a struct_ops map of the scheduler: their fds are copied from its process while it waits in bpf(2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

struct btf;

namespace ktstr::probe {

// A member of the kernel's struct that holds a function.
struct OpsMember {
  std::string name;
  uint32_t offset = 0;  // from the start of the map's value
};

// Layout of struct_ops values, from the kernel's BTF (read once, when first asked for).
class OpsLayout {
 public:
  OpsLayout() = default;
  ~OpsLayout();
  OpsLayout(const OpsLayout&) = delete;
  OpsLayout& operator=(const OpsLayout&) = delete;

  // `value_type`: bpf_map_info.btf_vmlinux_value_type_id.
  Result<std::vector<OpsMember>> members(uint32_t value_type);
  void load();

 private:
  struct btf* btf_ = nullptr;
};

struct HeldProgram {
  UniqueFd fd;  // held for the rest of the VM's life: addresses stay resolvable when the scheduler is gone
  std::string member;  // "enqueue"
};

// A call that another process is about to make: bpf(cmd, attr, size).
struct HeldCall {
  uint32_t pid = 0;  // thread
  uint64_t cmd = 0, attr = 0, size = 0;
};

struct RegisteredOps {
  bool registers = false;  // the call registers a struct_ops map
  std::vector<HeldProgram> programs;
};

// What `call` is about to register; `registers` false when it is about something else. Every access to the
// other process's memory may fail: an Error then, and the caller lets the call go on.
Result<RegisteredOps> inspect_call(const HeldCall& call, OpsLayout& layout);

}  // namespace ktstr::probe
