// The programs of a scheduler's struct_ops map: of the map that a waiting bpf(2) is about to link, or of those in the kernel's
// list.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/attach_call.h"

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
  bool is_scheduler(uint32_t value_type);
  Result<std::vector<OpsMember>> members(uint32_t value_type);
  // Where the value says in which state it is; nullopt: the kernel's BTF does not tell.
  std::optional<uint32_t> state_offset(uint32_t value_type);
  void load();

 private:
  struct btf* btf_ = nullptr;
};

struct HeldProgram {
  UniqueFd fd;  // held for the rest of the VM's life: addresses stay resolvable when the scheduler is gone
  uint32_t id = 0;     // the kernel's
  std::string member;  // "enqueue"
};

struct RegisteredOps {
  bool registers = false;  // it is a scheduler of sched_ext
  std::vector<HeldProgram> programs;
};

// The scheduler that a waiting call is about to register; `registers` false when it is about something else. Every access to
// the other process's memory may fail: an Error then, and the caller lets the call go on.
Result<RegisteredOps> inspect_call(const AttachCall& call, OpsLayout& layout);

struct SchedulersFound {
  std::vector<HeldProgram> programs;  // of all maps that are registered, or ready for it
  // A map is neither: it was never registered, or its registration is not over. Inside a map update sched_ext is enabled first
  // and the map says that it is in use afterwards (kernel/bpf/bpf_struct_ops.c, bpf_struct_ops_map_update_elem); until then a
  // lookup reads zeroes.
  bool unregistered = false;
};

// All schedulers in the kernel's list of maps.
SchedulersFound find_schedulers(OpsLayout& layout);

}  // namespace ktstr::probe
