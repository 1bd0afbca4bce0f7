// The policy that all our schedulers start from: one shared FIFO queue that every CPU takes from.
// A scheduler includes this, writes the callbacks that it wants to get wrong, and names them in its ops.
// libbpf refuses a struct_ops program that no ops refers to, so one with a select_cpu, enqueue, dispatch or init of
// its own defines OWN_SELECT_CPU, OWN_ENQUEUE, OWN_DISPATCH or OWN_INIT first.
#pragma once

#include "bpf/scx_compat.bpf.h"
#include "tests/schedulers/common/scx_shared.h"

char _license[] SEC("license") = "GPL";

#define SHARED_DSQ 0x100ULL

const volatile struct scx_config config SEC(".rodata.config");
struct scx_stats stats SEC(".bss.stats");
struct scx_exit_record uei SEC(".bss.uei");

#ifndef OWN_SELECT_CPU
SEC("struct_ops/fifo_select_cpu")
__s32 BPF_PROG(fifo_select_cpu, struct task_struct* p, __s32 prev_cpu, __u64 wake_flags) {
  bool idle = false;
  __s32 cpu = scx_compat_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);
  if (idle) __sync_fetch_and_add(&stats.idle_picks, 1);
  return cpu;
}
#endif

// Where a task waits for the next free CPU. The kernel serves its global queue by itself.
static __always_inline __u64 fifo_dsq(void) { return scx_compat_has_dsqs() ? SHARED_DSQ : SCX_DSQ_GLOBAL; }

static __always_inline void fifo_insert(struct task_struct* p, __u64 enq_flags) {
  scx_compat_dsq_insert(p, fifo_dsq(), SCX_SLICE_DFL, enq_flags);
}

static __always_inline bool fifo_take(void) {
  return scx_compat_has_dsqs() && scx_compat_dsq_move_to_local(SHARED_DSQ);
}

#ifndef OWN_ENQUEUE
SEC("struct_ops/fifo_enqueue")
void BPF_PROG(fifo_enqueue, struct task_struct* p, __u64 enq_flags) {
  __sync_fetch_and_add(&stats.enqueued, 1);
  fifo_insert(p, enq_flags);
}
#endif

#ifndef OWN_DISPATCH
SEC("struct_ops/fifo_dispatch")
void BPF_PROG(fifo_dispatch, __s32 cpu, struct task_struct* prev) {
  if (fifo_take()) __sync_fetch_and_add(&stats.dispatched, 1);
}
#endif

#ifndef OWN_INIT
SEC("struct_ops.s/fifo_init")
__s32 BPF_PROG(fifo_init) { return scx_compat_has_dsqs() ? scx_bpf_create_dsq(SHARED_DSQ, -1) : 0; }
#endif

SEC("struct_ops/fifo_exit")
void BPF_PROG(fifo_exit, struct scx_exit_info* ei) {
  bpf_probe_read_kernel_str(uei.reason, sizeof(uei.reason), ei->reason);
  bpf_probe_read_kernel_str(uei.msg, sizeof(uei.msg), ei->msg);
  bpf_probe_read_kernel_str(uei.dump, sizeof(uei.dump), ei->dump);
  uei.exit_code = ei->exit_code;
  __sync_val_compare_and_swap(&uei.kind, 0, ei->kind);
}
