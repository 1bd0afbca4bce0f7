#include "monitor/kernel_layout.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "monitor/layout_finder.h"

namespace ktstr {
namespace {

RqLayout rq_layout(LayoutFinder& find) {
  RqLayout l;
  l.nr_running = find.field("rq", "nr_running");
  l.clock = find.field("rq", "clock");
  l.curr = find.field("rq", "curr");
  l.idle = find.field("rq", "idle");
  l.domain = find.field("rq", "sd");
  l.scx_nr_running = find.field("rq", "scx.nr_running");
  l.scx_flags = find.field("rq", "scx.flags");
  l.local_dsq_depth = find.field("rq", "scx.local_dsq.nr");
  l.runnable_list = find.field("rq", "scx.runnable_list");
  l.rt_nr_running = find.field("rq", "rt.rt_nr_running");
  for (size_t i = 0; i < kRunQueueCounters.size(); ++i)
    l.counters[i] = find.field("rq", kRunQueueCounters[i].place);
  return l;
}

TaskLayout task_layout(LayoutFinder& find) {
  TaskLayout l;
  l.pid = find.field("task_struct", "pid");
  l.comm = find.field("task_struct", "comm");
  l.sched_class = find.field("task_struct", "sched_class");
  l.dsq = find.field("task_struct", "scx.dsq");
  l.runnable_node = find.field("task_struct", "scx.runnable_node");
  l.runnable_at = find.field("task_struct", "scx.runnable_at");
  l.vtime = find.field("task_struct", "scx.dsq_vtime");
  l.cpus_allowed = find.field("task_struct", "cpus_ptr");
  l.tick_mult = find.field("clocksource", "mult");
  l.tick_shift = find.field("clocksource", "shift");
  return l;
}

ScxLayout scx_layout(LayoutFinder& find, std::vector<std::string>& absent) {
  ScxLayout l;
  l.exit_kind = find.field("scx_sched", "exit_kind");
  l.ops_name = find.field("scx_sched", "ops.name");
  l.per_cpu = find.optional("scx_sched", "event_stats_cpu");
  if (!l.per_cpu) {
    l.per_cpu = find.optional("scx_sched", "pcpu");
    const Field events = find.optional("scx_sched_pcpu", "event_stats");
    if (!events) l.per_cpu = {};
    l.events_offset = events.offset;
  }
  l.events_bytes = find.size_of("scx_event_stats");
  constexpr std::string_view kPrefix = "SCX_EV_";
  for (const BtfMember& member : find.members("scx_event_stats")) {
    const BtfType type = find.btf().resolve(member.type_id);
    if (!member.name.starts_with(kPrefix) || member.bit_offset % 8 || type.size == 0 || type.size > 8)
      continue;
    l.events.push_back(
        {member.name.substr(kPrefix.size()), {member.bit_offset / 8, type.size, type.is_signed}});
  }
  if (l.events_bytes > kMaxEventBytesRead) l.events.clear();
  if (!l.per_cpu || l.events.empty()) absent.push_back("scx_sched event counters");
  constexpr std::string_view kState = "SCX_";
  if (const auto id = find.btf().find_enum("scx_enable_state")) {
    for (const BtfEnumerator& e : find.btf().enumerators(*id)) {
      if (e.name.starts_with(kState)) l.states.emplace(e.value, lower(e.name.substr(kState.size())));
    }
  }
  if (l.states.empty()) absent.push_back("enum scx_enable_state");
  return l;
}

DsqLayout dsq_layout(LayoutFinder& find, std::vector<std::string>& absent) {
  DsqLayout l;
  l.id = find.field("scx_dispatch_q", "id");
  l.depth = find.field("scx_dispatch_q", "nr");
  l.seq = find.field("scx_dispatch_q", "seq");
  l.hash_table = find.field("scx_sched", "dsq_hash.tbl");
  const Field node = find.field("scx_dispatch_q", "hash_node");
  l.hash_node = node.offset;
  if (!node) l.hash_table = {};
  l.buckets_count = find.field("bucket_table", "size");
  l.nest = find.field("bucket_table", "nest");
  l.future_table = find.field("bucket_table", "future_tbl");
  const Field buckets = find.field("bucket_table", "buckets");
  l.buckets = buckets.offset;
  if (!buckets) l.hash_table = {};
  l.next = find.field("rhash_head", "next");
  l.global_pointers = find.optional("scx_sched", "global_dsqs");
  l.node_pointers = find.optional("scx_sched", "pnode");
  const Field global = find.optional("scx_sched_pnode", "global_dsq");
  l.node_global = global.offset;
  if (!global) l.node_pointers = {};
  if (!l.global_pointers && !l.node_pointers) absent.push_back("scx_sched global DSQ");
  l.bypass = find.optional("scx_sched_pcpu", "bypass_dsq");
  return l;
}

// "lb_count.idle" of lb_count[CPU_MAX_IDLE_TYPES]: the enumerators in order, less "CPU_" and underscores.
std::vector<std::string> idle_types(const BtfView& btf) {
  std::vector<std::string> names;
  if (const auto id = btf.find_enum("cpu_idle_type")) {
    for (const BtfEnumerator& e : btf.enumerators(*id)) {
      const size_t at = e.name.find("CPU_");
      if (e.value == names.size() && at != std::string::npos) names.push_back(lower(e.name.substr(at + 4)));
    }
  }
  return names;
}

bool is_domain_counter(std::string_view name) {
  for (const char* prefix : {"lb_", "alb_", "sbe_", "sbf_", "ttwu_"}) {
    if (name.starts_with(prefix)) return true;
  }
  return name == "balance_interval" || name == "nr_balance_failed" || name == "newidle_call" ||
         name == "newidle_success" || name == "newidle_ratio";
}

DomainLayout domain_layout(LayoutFinder& find, std::vector<std::string>& absent) {
  DomainLayout l;
  l.parent = find.field("sched_domain", "parent");
  l.level = find.field("sched_domain", "level");
  l.name = find.field("sched_domain", "name");
  // The span is the flexible last member; newer kernels do not name it: it is behind the struct.
  const Field span = find.optional("sched_domain", "span");
  l.span = span ? span.offset : find.size_of("sched_domain");
  l.bytes = find.size_of("sched_domain");
  if (l.bytes > kMaxDomainBytesRead) l.bytes = 0;
  const std::vector<std::string> types = idle_types(find.btf());
  for (const BtfMember& member : find.members("sched_domain")) {
    if (!is_domain_counter(member.name) || member.bit_offset % 8) continue;
    const uint32_t offset = member.bit_offset / 8;
    const BtfType type = find.btf().resolve(member.type_id);
    if (type.cls == BtfClass::kArray) {
      const BtfType element = find.btf().resolve(type.target);
      if (element.size == 0 || element.size > 8) continue;
      for (uint32_t i = 0; i < std::min(type.count, 8u); ++i) {
        const std::string suffix = i < types.size() ? types[i] : std::to_string(i);
        l.counters.push_back(
            {member.name + "." + suffix, {offset + i * element.size, element.size, element.is_signed}});
      }
    } else if (type.size > 0 && type.size <= 8) {
      l.counters.push_back({member.name, {offset, type.size, type.is_signed}});
    }
  }
  for (const char* name : {"balance_interval", "nr_balance_failed", "lb_count", "newidle_call"}) {
    if (std::none_of(l.counters.begin(), l.counters.end(),
                     [&](const NamedField& f) { return f.name.starts_with(name); })) {
      absent.push_back(std::string("sched_domain.") + name);
    }
  }
  return l;
}

ProgramLayout program_layout(LayoutFinder& find, std::vector<std::string>& absent) {
  ProgramLayout l;
  l.idr_head = find.field("idr", "idr_rt.xa_head");
  l.node_shift = find.field("xa_node", "shift");
  const Field slots = find.field("xa_node", "slots");
  l.node_slots = slots.offset;
  if (!slots) l.idr_head = {};
  l.type = find.field("bpf_prog", "type");
  l.insns = find.field("bpf_prog", "len");
  l.code = find.optional("bpf_prog", "insnsi");
  l.functions = find.optional("bpf_prog_aux", "func_info");
  l.function_count = find.optional("bpf_prog_aux", "func_info_cnt");
  l.function_bytes = find.size_of("bpf_func_info");
  l.jited_bytes = find.field("bpf_prog", "jited_len");
  l.tag = find.field("bpf_prog", "tag");
  l.stats = find.field("bpf_prog", "stats");
  l.aux = find.field("bpf_prog", "aux");
  l.runs = find.field("bpf_prog_stats", "cnt");
  l.run_ns = find.field("bpf_prog_stats", "nsecs");
  l.misses = find.field("bpf_prog_stats", "misses");
  for (const Field* f : {&l.runs, &l.run_ns, &l.misses})
    l.stats_bytes = std::max(l.stats_bytes, f->offset + f->size);
  l.id = find.field("bpf_prog_aux", "id");
  l.verified_insns = find.field("bpf_prog_aux", "verified_insns");
  l.short_name = find.field("bpf_prog_aux", "name");
  l.full_name = find.field("bpf_prog_aux", "ksym.name");
  l.used_maps = find.field("bpf_prog_aux", "used_maps");
  l.used_map_count = find.field("bpf_prog_aux", "used_map_cnt");
  l.attach_btf_id = find.field("bpf_prog_aux", "attach_btf_id");
  l.map_id = find.field("bpf_map", "id");
  l.map_type = find.field("bpf_map", "map_type");
  l.map_key_size = find.field("bpf_map", "key_size");
  l.map_value_size = find.field("bpf_map", "value_size");
  l.map_max_entries = find.field("bpf_map", "max_entries");
  l.map_name = find.field("bpf_map", "name");
  l.struct_ops_type = find.btf().enum_value("bpf_prog_type", "BPF_PROG_TYPE_STRUCT_OPS").value_or(0);
  if (!l.struct_ops_type) absent.push_back("BPF_PROG_TYPE_STRUCT_OPS");
  for (const char* ops : {"sched_ext_ops", "sched_ext_ops_cid"}) {
    if (const auto id = find.struct_id(ops)) l.ops_btf_ids.push_back(*id);
  }
  return l;
}

ThreadLayout thread_layout(LayoutFinder& find, const Symbols& symbols) {
  ThreadLayout l;
  l.tasks = find.optional("task_struct", "tasks");
  l.thread_node = find.optional("task_struct", "thread_node");
  l.tgid = find.optional("task_struct", "tgid");
  l.stack = find.optional("task_struct", "stack");
  l.saved_sp = find.optional("task_struct", "thread.sp");
  l.exec_start = find.optional("task_struct", "se.exec_start");
  l.parent = find.optional("task_struct", "real_parent");
  l.on_cpu = find.optional("task_struct", "on_cpu");
  l.signal = find.optional("task_struct", "signal");
  l.thread_head = find.optional("signal_struct", "thread_head");
  l.exit_flags = find.optional("signal_struct", "flags");
  l.exit_status = find.optional("signal_struct", "group_exit_code");
  l.relative_symbols = symbols.relative;
  return l;
}

}  // namespace

std::optional<uint64_t> Field::read(const GuestMemory& memory, uint64_t base) const {
  uint8_t bytes[8];
  if (size == 0 || size > sizeof bytes || !memory.read(base + offset, bytes, size)) return std::nullopt;
  return Field{0, size, is_signed}.in({bytes, size});
}

uint64_t Field::in(std::span<const uint8_t> bytes) const {
  uint64_t value = 0;
  if (size == 0 || size > sizeof value || offset > bytes.size() || size > bytes.size() - offset) return 0;
  std::memcpy(&value, bytes.data() + offset, size);
  if (!is_signed) return value;
  const unsigned spare = 64 - 8 * size;
  return static_cast<uint64_t>(static_cast<int64_t>(value << spare) >> spare);
}

const std::vector<std::string>& wanted_symbols() {
  static const std::vector<std::string> names = {"phys_base",
                                                 "page_offset_base",
                                                 "__per_cpu_offset",
                                                 "nr_cpu_ids",
                                                 "__cpu_possible_mask",
                                                 "__cpu_online_mask",
                                                 "runqueues",
                                                 "system_state",
                                                 "__start_BTF",
                                                 "__stop_BTF",
                                                 "scx_root",
                                                 "scx_enable_seq",
                                                 "scx_enable_state_var",
                                                 "prog_idr",
                                                 "nr_node_ids",
                                                 "jiffies_64",
                                                 "clocksource_jiffies",
                                                 "stop_sched_class",
                                                 "dl_sched_class",
                                                 "rt_sched_class",
                                                 "fair_sched_class",
                                                 "ext_sched_class",
                                                 "idle_sched_class",
                                                 "map_idr",
                                                 "scx_watchdog_timeout",
                                                 "scx_watchdog_timestamp",
                                                 "init_task",
                                                 "_stext",
                                                 "_etext",
                                                 "__sched_text_start",
                                                 "__bpf_call_base",
                                                 "__sched_text_end"};
  return names;
}

Result<KernelLayout> build_layout(const BtfView& btf, const Symbols& symbols, uint64_t kaslr_offset) {
  KernelLayout layout;
  layout.symbols_seen = symbols.seen;
  for (const auto& [name, address] : symbols.address) layout.symbols.emplace(name, address - kaslr_offset);

  for (const char* name : {"runqueues", "__per_cpu_offset", "nr_cpu_ids"}) {
    if (!layout.has(name)) {
      return Error::unsupported(std::string("the kernel's symbol table lacks ") + name)
          .with_hint("build the kernel with CONFIG_KALLSYMS_ALL");
    }
  }
  for (const char* name : {"scx_root", "scx_enable_seq", "scx_enable_state_var", "prog_idr", "map_idr",
                           "__cpu_online_mask", "jiffies_64", "clocksource_jiffies"}) {
    if (!layout.has(name)) {
      layout.absent.push_back(std::string("symbol ") + name +
                              (symbols.ambiguous.contains(name) ? " (ambiguous)" : ""));
    }
  }
  LayoutFinder find(btf, layout.absent);
  layout.rq = rq_layout(find);
  if (!layout.rq.nr_running || !layout.rq.clock)
    return Error::unsupported("BTF: struct rq lacks nr_running or clock");
  layout.task = task_layout(find);
  layout.scx = scx_layout(find, layout.absent);
  layout.dsq = dsq_layout(find, layout.absent);
  layout.domain = domain_layout(find, layout.absent);
  layout.program = program_layout(find, layout.absent);
  layout.freeze = freeze_layout(find);
  layout.map = map_layout(find);
  layout.threads = thread_layout(find, symbols);
  layout.watchdog = watchdog_layout(find);
  if (!layout.watchdog.of_scheduler && !layout.has("scx_watchdog_timeout"))
    layout.absent.push_back("sched_ext's watchdog timeout");
  layout.system_running = btf.enum_value("system_states", "SYSTEM_RUNNING").value_or(0);
  return layout;
}

}  // namespace ktstr
