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

constexpr uint32_t kStructOpsMap = 26;           // BPF_MAP_TYPE_STRUCT_OPS
constexpr uint32_t kStructOpsAttach = 44;        // BPF_STRUCT_OPS as attach type of a link
constexpr uint32_t kRegistersByLink = 1u << 13;  // BPF_F_LINK
constexpr unsigned kPidfdThread = O_EXCL;        // PIDFD_THREAD, 6.9
constexpr uint32_t kMaxValue = 1u << 16;

// The leading fields of bpf(2)'s attr that the two commands share.
struct LinkAttr {
  uint32_t map_fd, target_fd, attach_type, flags;
};
struct UpdateAttr {
  uint32_t map_fd, unused;
  uint64_t key, value, flags;
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

Result<RegisteredOps> inspect_call(const HeldCall& call, OpsLayout& layout) {
  RegisteredOps result;
  uint32_t map_number = 0;
  UpdateAttr update{};
  const bool by_link = call.cmd == BPF_LINK_CREATE;
  if (by_link) {
    LinkAttr link{};
    if (call.size < sizeof(link) || !read_memory(call.pid, call.attr, &link, sizeof(link)))
      return Error::from_errno("read the attr of BPF_LINK_CREATE");
    if (link.attach_type != kStructOpsAttach) return result;
    map_number = link.map_fd;
  } else if (call.cmd == BPF_MAP_UPDATE_ELEM) {
    if (call.size < 24 || !read_memory(call.pid, call.attr, &update, 24))
      return Error::from_errno("read the attr of BPF_MAP_UPDATE_ELEM");
    map_number = update.map_fd;
  } else {
    return result;
  }

  UniqueFd map = take_fd(call.pid, map_number);
  if (!map) return Error::from_errno("take the map's fd");
  bpf_map_info info{};
  uint32_t length = sizeof(info);
  if (bpf_map_get_info_by_fd(map.get(), &info, &length) != 0) return Error::from_errno("map info");
  if (info.type != kStructOpsMap) return result;
  // A map that registers by link is filled first: the link is what counts.
  if (!by_link && (info.map_flags & kRegistersByLink)) return result;
  if (info.value_size == 0 || info.value_size > kMaxValue)
    return Error::invalid("struct_ops map: value size");

  auto members = layout.members(info.btf_vmlinux_value_type_id);
  if (!members) return std::move(members).error();
  std::vector<uint8_t> value(info.value_size);
  const uint32_t zero = 0;
  if (by_link ? bpf_map_lookup_elem(map.get(), &zero, value.data()) != 0
              : !read_memory(call.pid, update.value, value.data(), value.size()))
    return Error::from_errno("read the struct_ops value");
  result.registers = true;
  for (const OpsMember& m : *members) {
    uint64_t slot = 0;
    if (m.offset + sizeof(slot) > value.size()) continue;
    std::memcpy(&slot, value.data() + m.offset, sizeof(slot));
    if (slot == 0) continue;
    // Filled by the kernel a slot holds the program's id, filled by the process its fd.
    UniqueFd fd = by_link ? UniqueFd(bpf_prog_get_fd_by_id(static_cast<uint32_t>(slot)))
                          : take_fd(call.pid, static_cast<uint32_t>(slot));
    if (fd) result.programs.push_back({std::move(fd), m.name});
  }
  return result;
}

}  // namespace ktstr::probe
