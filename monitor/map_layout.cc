// The parts of a kernel's layout that freezing and poking need: tasks on queues, BPF maps, the watchdog.
#include "monitor/layout_finder.h"

namespace ktstr {
namespace {

// Enumerators by value, less the prefix, in small letters.
std::map<uint64_t, std::string> enum_names(const BtfView& btf, std::string_view name,
                                           std::string_view prefix) {
  std::map<uint64_t, std::string> out;
  const auto id = btf.find_enum(name);
  if (!id) return out;
  for (const BtfEnumerator& e : btf.enumerators(*id)) {
    if (!e.name.starts_with(prefix) || e.name.starts_with("__")) continue;
    std::string text = e.name.substr(prefix.size());
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    out.emplace(e.value, std::move(text));  // the first name of a value stays
  }
  return out;
}

// What member `pointer` of `type` points to: its size, and the offset of `member` in it.
uint32_t target_bytes(LayoutFinder& find, const std::string& type, std::string_view pointer,
                      std::string_view member, uint32_t& offset) {
  const auto id = find.struct_id(type);
  if (!id) return 0;
  const auto field = find.btf().field(*id, pointer);
  if (!field) return 0;
  const BtfType target = find.btf().resolve(find.btf().resolve(field->type_id).target);
  const auto inner = find.btf().field(target.id, member);
  if (!inner) return 0;
  offset = inner->offset;
  return target.size;
}

}  // namespace

FreezeLayout freeze_layout(LayoutFinder& find) {
  FreezeLayout l;
  l.task_state = find.field("task_struct", "__state");
  l.task_flags = find.field("task_struct", "scx.flags");
  l.list_node = find.field("task_struct", "scx.dsq_list.node");
  l.list_flags = find.field("task_struct", "scx.dsq_list.flags");
  l.dsq_tasks = find.field("scx_dispatch_q", "list");
  l.local_dsq = find.field("rq", "scx.local_dsq");
  const BtfView& btf = find.btf();
  l.cursor_flag = btf.enum_value("scx_dsq_lnode_flags", "SCX_DSQ_LNODE_ITER_CURSOR").value_or(l.cursor_flag);
  l.exit_unreg = btf.enum_value("scx_exit_kind", "SCX_EXIT_UNREG").value_or(l.exit_unreg);
  l.exit_names = enum_names(btf, "scx_exit_kind", "SCX_EXIT_");
  return l;
}

MapLayout map_layout(LayoutFinder& find) {
  MapLayout l;
  l.frozen = find.field("bpf_map", "frozen");
  l.flags = find.field("bpf_map", "map_flags");
  l.btf = find.field("bpf_map", "btf");
  l.key_type = find.field("bpf_map", "btf_key_type_id");
  l.value_type = find.field("bpf_map", "btf_value_type_id");
  l.kernel_value_type = find.field("bpf_map", "btf_vmlinux_value_type_id");
  l.btf_data = find.field("btf", "data");
  l.btf_bytes = find.field("btf", "data_size");
  l.array_values = find.field("bpf_array", "value");
  l.array_stride = find.field("bpf_array", "elem_size");
  l.buckets = find.field("bpf_htab", "buckets");
  l.bucket_count = find.field("bpf_htab", "n_buckets");
  l.bucket_bytes = target_bytes(find, "bpf_htab", "buckets", "head.first", l.bucket_first);
  l.element_key = find.field("htab_elem", "key");
  l.storage_buckets = find.field("bpf_local_storage_map", "buckets");
  l.storage_log = find.field("bpf_local_storage_map", "bucket_log");
  l.storage_bucket_bytes =
      target_bytes(find, "bpf_local_storage_map", "buckets", "list.first", l.storage_first);
  l.storage_node = find.field("bpf_local_storage_elem", "map_node");
  l.storage_head = find.field("bpf_local_storage_elem", "local_storage");
  l.storage_data = find.field("bpf_local_storage_elem", "sdata.data");
  l.storage_owner = find.field("bpf_local_storage", "owner");
  l.arena_start = find.field("bpf_arena", "user_vm_start");
  l.arena_vm = find.field("bpf_arena", "kern_vm");
  l.vm_address = find.field("vm_struct", "addr");
  l.ops_value = find.field("bpf_struct_ops_map", "kvalue");
  l.queue_head = find.field("bpf_queue_stack", "head");
  l.queue_tail = find.field("bpf_queue_stack", "tail");
  l.queue_size = find.field("bpf_queue_stack", "size");
  l.queue_elements = find.field("bpf_queue_stack", "elements");
  l.ring = find.field("bpf_ringbuf_map", "rb");
  l.ring_consumer = find.field("bpf_ringbuf", "consumer_pos");
  l.ring_producer = find.field("bpf_ringbuf", "producer_pos");
  l.ring_mask = find.field("bpf_ringbuf", "mask");
  l.record = find.field("bpf_map", "record");
  l.timer_offset = find.field("btf_record", "timer_off");
  l.timer = find.field("bpf_async_kern", "timer");
  // hrtimer.state until 7.1, is_queued since.
  l.timer_queued = find.optional("bpf_hrtimer", "timer.is_queued");
  if (!l.timer_queued) l.timer_queued = find.field("bpf_hrtimer", "timer.state");
  l.timer_expires = find.field("bpf_hrtimer", "timer._softexpires");
  l.type_names = enum_names(find.btf(), "bpf_map_type", "BPF_MAP_TYPE_");
  return l;
}

WatchdogLayout watchdog_layout(LayoutFinder& find) {
  WatchdogLayout l;
  l.of_scheduler = find.optional("scx_sched", "watchdog_timeout");
  for (const char* ops : {"bpf_struct_ops_sched_ext_ops", "bpf_struct_ops_sched_ext_ops_cid"}) {
    const auto id = find.struct_id(ops);
    if (!id) continue;
    l.value_types.push_back(*id);
    if (l.timeout_ms) continue;
    l.state = find.field(ops, "common.state");
    l.timeout_ms = find.field(ops, "data.timeout_ms");
  }
  const BtfView& btf = find.btf();
  l.state_ready =
      btf.enum_value("bpf_struct_ops_state", "BPF_STRUCT_OPS_STATE_READY").value_or(l.state_ready);
  l.state_in_use =
      btf.enum_value("bpf_struct_ops_state", "BPF_STRUCT_OPS_STATE_INUSE").value_or(l.state_in_use);
  return l;
}

}  // namespace ktstr
