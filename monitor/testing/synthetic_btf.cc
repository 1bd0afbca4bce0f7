#include "monitor/testing/synthetic_btf.h"

#include <bpf/btf.h>

#include <map>
#include <memory>
#include <string>

namespace ktstr::testing {
namespace {

struct Member {
  const char* name;
  int type;
  uint32_t offset;
};

class Builder {
 public:
  Builder() : btf_(btf__new_empty(), btf__free) {
    u8 = btf__add_int(btf_.get(), "unsigned char", 1, 0);
    u32 = btf__add_int(btf_.get(), "unsigned int", 4, 0);
    s32 = btf__add_int(btf_.get(), "int", 4, BTF_INT_SIGNED);
    u64 = btf__add_int(btf_.get(), "unsigned long", 8, 0);
    s64 = btf__add_int(btf_.get(), "long long", 8, BTF_INT_SIGNED);
    pointer = btf__add_ptr(btf_.get(), 0);
  }
  int structure(const char* name, uint32_t bytes, const std::vector<Member>& members) {
    const int id = btf__add_struct(btf_.get(), name, bytes);
    for (const Member& m : members) btf__add_field(btf_.get(), m.name, m.type, m.offset * 8, 0);
    return id;
  }
  int array(int of, uint32_t count) { return btf__add_array(btf_.get(), static_cast<int>(u32), of, count); }
  void enumeration(const char* name, const std::vector<std::pair<const char*, int>>& values) {
    btf__add_enum(btf_.get(), name, 4);
    for (const auto& [key, value] : values) btf__add_enum_value(btf_.get(), key, value);
  }
  std::vector<uint8_t> bytes() {
    uint32_t size = 0;
    const auto* data = static_cast<const uint8_t*>(btf__raw_data(btf_.get(), &size));
    return {data, data + size};
  }
  int u8, u32, s32, u64, s64, pointer;
  int point_to(int type) { return btf__add_ptr(btf_.get(), type); }
  struct btf* raw() { return btf_.get(); }

 private:
  std::unique_ptr<struct btf, void (*)(struct btf*)> btf_;
};

void add_scheduler(Builder& b, bool pcpu_layout) {
  const int head = b.structure("rhash_head", 8, {{"next", b.pointer, 0}});
  const int list = b.structure("list_head", 16, {{"next", b.pointer, 0}, {"prev", b.pointer, 8}});
  const int dsq = b.structure("scx_dispatch_q", kDsqBytes,
                              {{"nr", b.u32, kDsqDepth},
                               {"seq", b.u32, kDsqSeq},
                               {"id", b.u64, kDsqId},
                               {"hash_node", head, kDsqNode},
                               {"list", list, kDsqTasks}});
  const int scx_rq = b.structure("scx_rq", 104,
                                 {{"local_dsq", dsq, kScxRqLocal},
                                  {"nr_running", b.u32, kScxRqRunning},
                                  {"flags", b.u32, kScxRqFlags},
                                  {"runnable_list", list, kScxRqRunnable}});
  const int rt = b.structure("rt_rq", 8, {{"rt_nr_running", b.u32, kRtRunning}});
  const int cursor = b.structure("scx_dsq_list_node", 20, {{"node", list, 0}, {"flags", b.u32, 16}});
  const int entity = b.structure("sched_ext_entity", 64,
                                 {{"dsq", b.pointer, kTaskDsq - 48},
                                  {"runnable_node", list, kTaskRunnable - 48},
                                  {"runnable_at", b.u64, kTaskRunnableAt - 48},
                                  {"dsq_vtime", b.u64, kTaskVtime - 48},
                                  {"dsq_list", cursor, kTaskList - 48},
                                  {"flags", b.u32, kTaskFlags - 48}});
  b.structure("task_struct", kTaskBytes,
              {{"comm", b.array(b.u8, 16), kTaskComm},
               {"pid", b.s32, kTaskPid},
               {"__state", b.u32, kTaskState},
               {"sched_class", b.pointer, kTaskClass},
               {"cpus_ptr", b.pointer, kTaskCpus},
               {"scx", entity, 48}});
  const int info = b.structure("sched_info", 16, {{"pcount", b.u64, 0}, {"run_delay", b.u64, 8}});
  b.structure("rq", kRqBytes,
              {{"curr", b.pointer, kRqCurr},
               {"idle", b.pointer, kRqIdle},
               {"clock", b.u64, kRqClock},
               {"sd", b.pointer, kRqDomain},
               {"nr_running", b.u32, kRqRunning},
               {"scx", scx_rq, kRqScx},
               {"rt", rt, kRqRt},
               {"yld_count", b.u32, kRqYields},
               {"sched_count", b.u32, kRqSwitches},
               {"sched_goidle", b.u32, kRqGoidle},
               {"ttwu_count", b.u32, kRqTtwu},
               {"ttwu_local", b.u32, kRqTtwuLocal},
               {"rq_cpu_time", b.u64, kRqCpuTime},
               {"rq_sched_info", info, kRqSchedInfo}});
  const int name = b.array(b.u8, 128);
  const int ops =
      b.structure("sched_ext_ops", kOpsBytes, {{"name", name, 0}, {"timeout_ms", b.u32, kOpsTimeout}});
  const int common = b.structure("bpf_struct_ops_common_value", 8, {{"state", b.u32, kOpsValueState}});
  b.structure("bpf_struct_ops_sched_ext_ops", 256, {{"common", common, 0}, {"data", ops, kOpsValueData}});
  const int hash = b.structure("rhashtable", 16, {{"tbl", b.pointer, 8}});
  std::vector<Member> root = {
      {"ops", ops, kScxOpsName}, {"dsq_hash", hash, kScxHash}, {"exit_kind", b.s32, kScxExitKind}};
  const int events =
      b.structure("scx_event_stats", 24,
                  {{"SCX_EV_FIRST", b.s64, 0}, {"SCX_EV_NARROW", b.s32, 8}, {"SCX_EV_LAST", b.s64, 16}});
  if (pcpu_layout) {
    b.structure("scx_sched_pcpu", kPcpuBytes,
                {{"event_stats", events, kPcpuEvents}, {"bypass_dsq", dsq, kPcpuBypass}});
    b.structure("scx_sched_pnode", 96, {{"global_dsq", dsq, kNodeGlobal}});
    root.push_back({"pcpu", b.pointer, kScxPerCpu});
    root.push_back({"pnode", b.pointer, kScxGlobal});
    root.push_back({"watchdog_timeout", b.u64, kScxWatchdog});
  } else {
    root.push_back({"event_stats_cpu", b.pointer, kScxPerCpu});
    root.push_back({"global_dsqs", b.pointer, kScxGlobal});
  }
  b.structure("scx_sched", kScxBytes, root);
  b.structure("bucket_table", kTableBuckets,
              {{"size", b.u32, kTableSize},
               {"nest", b.u32, kTableNest},
               {"future_tbl", b.pointer, kTableFuture},
               {"buckets", b.array(b.pointer, 0), kTableBuckets}});
  b.enumeration("scx_enable_state",
                {{"SCX_ENABLING", 0}, {"SCX_ENABLED", 1}, {"SCX_DISABLING", 2}, {"SCX_DISABLED", 3}});
  b.enumeration("system_states", {{"SYSTEM_BOOTING", 0}, {"SYSTEM_RUNNING", 3}});
}

void add_domains(Builder& b) {
  b.structure("clocksource", 64, {{"mult", b.u32, kTickMult}, {"shift", b.u32, kTickShift}});
  b.structure("sched_domain", kDomainBytes,
              {{"parent", b.pointer, kDomainParent},
               {"name", b.pointer, kDomainName},
               {"level", b.s32, kDomainLevel},
               {"balance_interval", b.u32, kDomainInterval},
               {"nr_balance_failed", b.u32, kDomainFailed},
               {"lb_count", b.array(b.u32, 3), kDomainLbCount},
               {"newidle_call", b.u32, kDomainNewidle}});
  b.enumeration("cpu_idle_type",
                {{"__CPU_NOT_IDLE", 0}, {"CPU_IDLE", 1}, {"CPU_NEWLY_IDLE", 2}, {"CPU_MAX_IDLE_TYPES", 3}});
}

void add_programs(Builder& b) {
  const int short_name = b.array(b.u8, 16);
  const int ksym = b.structure("bpf_ksym", 512, {{"name", b.array(b.u8, 512), 0}});
  b.structure("bpf_prog", 40,
              {{"type", b.u32, kProgType},
               {"len", b.u32, kProgLen},
               {"jited_len", b.u32, kProgJited},
               {"tag", b.array(b.u8, 8), kProgTag},
               {"stats", b.pointer, kProgStats},
               {"aux", b.pointer, kProgAux}});
  b.structure("bpf_prog_aux", 576,
              {{"id", b.u32, kAuxId},
               {"verified_insns", b.u32, kAuxVerified},
               {"name", short_name, kAuxName},
               {"ksym", ksym, kAuxKsymName},
               {"used_maps", b.pointer, kAuxMaps},
               {"used_map_cnt", b.u32, kAuxMapCount},
               {"attach_btf_id", b.u32, kAuxAttach}});
  b.structure("bpf_prog_stats", kStatsBytes,
              {{"cnt", b.u64, kStatsRuns}, {"nsecs", b.u64, kStatsNs}, {"misses", b.u64, kStatsMisses}});
  const int map = b.structure("bpf_map", kMapBytes,
                              {{"id", b.u32, kMapId},
                               {"map_type", b.u32, kMapType},
                               {"key_size", b.u32, kMapKey},
                               {"value_size", b.u32, kMapValue},
                               {"max_entries", b.u32, kMapEntries},
                               {"name", short_name, kMapName},
                               {"map_flags", b.u32, kMapFlags},
                               {"btf", b.pointer, kMapBtf},
                               {"btf_key_type_id", b.u32, kMapKeyType},
                               {"btf_value_type_id", b.u32, kMapValueType},
                               {"btf_vmlinux_value_type_id", b.u32, kMapKernelType},
                               {"record", b.pointer, kMapRecord},
                               {"frozen", b.u8, kMapFrozen}});
  const int bytes = b.array(b.u8, 0);
  b.structure("btf", 32, {{"data", b.pointer, kBtfData}, {"data_size", b.u32, kBtfSize}});
  b.structure("bpf_array", kArrayValues,
              {{"map", map, 0}, {"elem_size", b.u32, kArrayStride}, {"value", bytes, kArrayValues}});
  const int nulls = b.structure("hlist_nulls_head", 8, {{"first", b.pointer, 0}});
  const int bucket = b.structure("bucket", kBucketBytes, {{"head", nulls, kBucketFirst}});
  b.structure(
      "bpf_htab", 112,
      {{"map", map, 0}, {"buckets", b.point_to(bucket), kHashBuckets}, {"n_buckets", b.u32, kHashCount}});
  b.structure("htab_elem", kElementKey, {{"key", bytes, kElementKey}});
  const int head = b.structure("hlist_head", 8, {{"first", b.pointer, 0}});
  const int store = b.structure("bpf_local_storage_map_bucket", 16, {{"list", head, 0}});
  b.structure(
      "bpf_local_storage_map", 112,
      {{"map", map, 0}, {"buckets", b.point_to(store), kStorageBuckets}, {"bucket_log", b.u32, kStorageLog}});
  const int data = b.structure("bpf_local_storage_data", 8, {{"data", bytes, 8}});
  b.structure("bpf_local_storage_elem", 64,
              {{"map_node", head, kStorageNode},
               {"local_storage", b.pointer, kStorageHead},
               {"sdata", data, kStorageData - 8}});
  b.structure("bpf_local_storage", 32, {{"owner", b.pointer, kStorageOwner}});
  b.structure("bpf_arena", 112,
              {{"map", map, 0}, {"user_vm_start", b.u64, kArenaStart}, {"kern_vm", b.pointer, kArenaVm}});
  b.structure("bpf_queue_stack", 112,
              {{"map", map, 0},
               {"head", b.u32, 96},
               {"tail", b.u32, 100},
               {"size", b.u32, 104},
               {"elements", bytes, 112}});
  b.structure("bpf_ringbuf_map", 104, {{"map", map, 0}, {"rb", b.pointer, 96}});
  b.structure("bpf_ringbuf", 24,
              {{"mask", b.u64, 0}, {"consumer_pos", b.u64, 8}, {"producer_pos", b.u64, 16}});
  b.structure("btf_record", 16, {{"timer_off", b.s32, 8}});
  b.structure("bpf_async_kern", 16, {{"timer", b.pointer, 0}});
  const int hrtimer = b.structure("hrtimer", 24, {{"_softexpires", b.u64, 0}, {"state", b.u8, 8}});
  b.structure("bpf_hrtimer", 32, {{"timer", hrtimer, 8}});
  b.structure("vm_struct", 32, {{"addr", b.pointer, kVmAddress}});
  b.structure("bpf_struct_ops_map", 192, {{"map", map, 0}, {"kvalue", b.u64, kOpsMapValue}});
  b.enumeration("bpf_map_type",
                {{"BPF_MAP_TYPE_HASH", 1}, {"BPF_MAP_TYPE_ARRAY", 2}, {"BPF_MAP_TYPE_PERCPU_ARRAY", 6}});
  b.enumeration(
      "scx_exit_kind",
      {{"SCX_EXIT_NONE", 0}, {"SCX_EXIT_DONE", 1}, {"SCX_EXIT_UNREG", 64}, {"SCX_EXIT_ERROR", 1024}});
  const int xarray = b.structure("xarray", 16, {{"xa_head", b.pointer, 8}});
  b.structure("idr", 32, {{"idr_rt", xarray, kIdrHead - 8}});
  b.structure("xa_node", 600, {{"shift", b.u8, kNodeShift}, {"slots", b.array(b.pointer, 64), kNodeSlots}});
  b.enumeration("bpf_prog_type", {{"BPF_PROG_TYPE_UNSPEC", 0}, {"BPF_PROG_TYPE_STRUCT_OPS", kStructOps}});
}

}  // namespace

std::vector<uint8_t> make_synthetic_btf(const SyntheticTypes& types) {
  Builder b;
  add_scheduler(b, types.pcpu_layout);
  add_domains(b);
  add_programs(b);
  return b.bytes();
}

SyntheticProgramBtf make_synthetic_program_btf() {
  Builder b;
  SyntheticProgramBtf out;
  const int flag = btf__add_int(b.raw(), "_Bool", 1, BTF_INT_BOOL);
  const int letter = btf__add_int(b.raw(), "char", 1, BTF_INT_SIGNED | BTF_INT_CHAR);
  const int mode = btf__add_enum(b.raw(), "mode", 4);
  btf__add_enum_value(b.raw(), "MODE_SLOW", 0);
  btf__add_enum_value(b.raw(), "MODE_FAST", 7);
  out.number = static_cast<uint32_t>(b.u32);
  const int cfg = b.structure("cfg", 56,
                              {{"limit", b.u32, 0},
                               {"on", flag, 4},
                               {"mode", mode, 8},
                               {"cells", b.array(b.s64, 4), 16},
                               {"tag", b.array(letter, 8), 48}});
  out.cfg = static_cast<uint32_t>(cfg);
  const int enqueued = btf__add_var(b.raw(), "enqueued", BTF_VAR_GLOBAL_ALLOCATED, b.u64);
  const int variable = btf__add_var(b.raw(), "cfg", BTF_VAR_GLOBAL_ALLOCATED, cfg);
  out.bss = static_cast<uint32_t>(btf__add_datasec(b.raw(), ".bss", 72));
  btf__add_datasec_var_info(b.raw(), enqueued, 0, 8);
  btf__add_datasec_var_info(b.raw(), variable, 16, 56);
  out.bytes = b.bytes();
  return out;
}

}  // namespace ktstr::testing
