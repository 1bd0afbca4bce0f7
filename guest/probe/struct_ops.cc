#include "guest/probe/struct_ops.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cstring>
#include <fstream>
#include <optional>

namespace ktstr::probe {
namespace {

constexpr uint32_t kStructOpsMap = 26;     // BPF_MAP_TYPE_STRUCT_OPS
constexpr uint32_t kStructOpsAttach = 44;  // BPF_STRUCT_OPS as attach type of a link
constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, 6.9
constexpr uint32_t kMaxValue = 1u << 16;

// States of a struct_ops value (enum bpf_struct_ops_state): registered by a map update, and ready to be linked.
constexpr uint32_t kStateInUse = 1, kStateReady = 3;
constexpr size_t kMaxMaps = 4096;

// The leading fields of bpf(2)'s attr of BPF_LINK_CREATE.
struct LinkAttr {
  uint32_t map_fd, target_fd, attach_type, flags;
};

bool read_memory(uint32_t pid, uint64_t address, void* to, size_t size) {
  iovec local{to, size}, remote{reinterpret_cast<void*>(address), size};
  return ::process_vm_readv(static_cast<pid_t>(pid), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

UniqueFd take_fd(uint32_t pid, uint32_t fd) {
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, kPidfdThread)));
  if (!process) process = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return {};
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
}

}  // namespace

OpsLayout::~OpsLayout() { btf__free(btf_); }

void OpsLayout::load() {
  if (!btf_) btf_ = btf__load_vmlinux_btf();
}

Result<std::vector<OpsMember>> OpsLayout::members(uint32_t value_type) {
  load();
  if (!btf_) return Error::from_errno("kernel BTF");
  const btf_type* value = btf__type_by_id(btf_, value_type);
  if (!value || !btf_is_struct(value))
    return Error::invalid("struct_ops value type " + std::to_string(value_type));
  std::vector<OpsMember> out;
  // The value is { common header, the struct itself }.
  const btf_member* outer = btf_members(value);
  for (uint32_t i = 0; i < btf_vlen(value); ++i) {
    if (std::strcmp(btf__name_by_offset(btf_, outer[i].name_off), "data") != 0) continue;
    const uint32_t base = btf_member_bit_offset(value, i) / 8;
    const btf_type* ops = btf__type_by_id(btf_, outer[i].type);
    if (!ops || !btf_is_struct(ops)) break;
    const btf_member* inner = btf_members(ops);
    for (uint32_t k = 0; k < btf_vlen(ops); ++k) {
      const btf_type* t = btf__type_by_id(btf_, inner[k].type);
      if (!t || !btf_is_ptr(t)) continue;
      const btf_type* to = btf__type_by_id(btf_, t->type);
      if (!to || !btf_is_func_proto(to)) continue;
      out.push_back({btf__name_by_offset(btf_, inner[k].name_off), base + btf_member_bit_offset(ops, k) / 8});
    }
  }
  if (out.empty()) return Error::invalid("struct_ops value type has no callbacks");
  return out;
}

bool OpsLayout::is_scheduler(uint32_t value_type) {
  load();
  const btf_type* value = btf_ ? btf__type_by_id(btf_, value_type) : nullptr;
  return value &&
         std::strcmp(btf__name_by_offset(btf_, value->name_off), "bpf_struct_ops_sched_ext_ops") == 0;
}

// Before 6.9 the members of the header stand in the value itself, since then in its first member, `common`.
std::optional<uint32_t> OpsLayout::state_offset(uint32_t value_type) {
  load();
  const btf_type* value = btf_ ? btf__type_by_id(btf_, value_type) : nullptr;
  for (int depth = 0; value && btf_is_struct(value) && depth < 2; ++depth) {
    const btf_member* members = btf_members(value);
    const btf_type* common = nullptr;
    for (uint32_t i = 0; i < btf_vlen(value); ++i) {
      const char* name = btf__name_by_offset(btf_, members[i].name_off);
      const uint32_t offset = btf_member_bit_offset(value, i) / 8;
      if (std::strcmp(name, "state") == 0) return offset;
      // At offset 0 the member's own offsets are those in the value.
      if (std::strcmp(name, "common") == 0 && offset == 0) common = btf__type_by_id(btf_, members[i].type);
    }
    value = common;
  }
  return std::nullopt;
}

namespace {

Result<std::vector<uint8_t>> read_value(int map, const bpf_map_info& info) {
  if (info.value_size == 0 || info.value_size > kMaxValue)
    return Error::invalid("struct_ops map: value size");
  std::vector<uint8_t> value(info.value_size);
  const uint32_t zero = 0;
  if (bpf_map_lookup_elem(map, &zero, value.data()) != 0)
    return Error::from_errno("read the struct_ops value");
  return value;
}

bool is_registered(const std::vector<uint8_t>& value, uint32_t value_type, OpsLayout& layout) {
  uint32_t state = 0;
  const auto at = layout.state_offset(value_type);
  if (!at || *at + sizeof(state) > value.size()) return false;
  std::memcpy(&state, value.data() + *at, sizeof(state));
  return state == kStateInUse || state == kStateReady;
}

// The programs whose ids the kernel put into a map's value.
Result<std::vector<HeldProgram>> programs_of(const std::vector<uint8_t>& value, uint32_t value_type,
                                             OpsLayout& layout) {
  auto members = layout.members(value_type);
  if (!members) return std::move(members).error();
  std::vector<HeldProgram> out;
  for (const OpsMember& m : *members) {
    uint64_t slot = 0;
    if (m.offset + sizeof(slot) > value.size()) continue;
    std::memcpy(&slot, value.data() + m.offset, sizeof(slot));
    if (slot == 0) continue;
    const auto id = static_cast<uint32_t>(slot);
    UniqueFd fd(bpf_prog_get_fd_by_id(id));
    if (fd) out.push_back({std::move(fd), id, m.name});
  }
  return out;
}

bool scheduler_map(int map, bpf_map_info& info, OpsLayout& layout) {
  uint32_t length = sizeof(info);
  return bpf_map_get_info_by_fd(map, &info, &length) == 0 && info.type == kStructOpsMap &&
         layout.is_scheduler(info.btf_vmlinux_value_type_id);
}

}  // namespace

Result<RegisteredOps> inspect_call(const AttachCall& call, OpsLayout& layout) {
  RegisteredOps result;
  LinkAttr link{};
  if (call.size < sizeof(link) || !read_memory(call.pid, call.attr, &link, sizeof(link)))
    return Error::from_errno("read the attr of BPF_LINK_CREATE");
  if (link.attach_type != kStructOpsAttach) return result;
  UniqueFd map = take_fd(call.pid, link.map_fd);
  if (!map) return Error::from_errno("take the map's fd");
  bpf_map_info info{};
  if (!scheduler_map(map.get(), info, layout)) return result;
  auto value = read_value(map.get(), info);
  if (!value) return std::move(value).error();
  auto programs = programs_of(*value, info.btf_vmlinux_value_type_id, layout);
  if (!programs) return std::move(programs).error();
  result.registers = true;
  result.programs = std::move(*programs);
  return result;
}

SchedulersFound find_schedulers(OpsLayout& layout) {
  SchedulersFound found;
  uint32_t id = 0;
  for (size_t looked = 0; looked < kMaxMaps && bpf_map_get_next_id(id, &id) == 0; ++looked) {
    UniqueFd map(bpf_map_get_fd_by_id(id));
    bpf_map_info info{};
    if (!map || !scheduler_map(map.get(), info, layout)) continue;
    const uint32_t type = info.btf_vmlinux_value_type_id;
    auto value = read_value(map.get(), info);
    if (!value) continue;
    if (!is_registered(*value, type, layout)) {
      found.unregistered = true;
      continue;
    }
    auto programs = programs_of(*value, type, layout);
    if (!programs) continue;
    for (HeldProgram& program : *programs) found.programs.push_back(std::move(program));
  }
  return found;
}

}  // namespace ktstr::probe
