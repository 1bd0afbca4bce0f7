// legacy: registers by a map update instead of a link, as schedulers of the first kernels with sched_ext do; aborts with
// scx_bpf_error() after N enqueues. It can keep its loader waiting: sched_ext is enabled then, and the map update is not over.
#define OWN_ENQUEUE
#define OWN_DISPATCH
#define OWN_INIT
#include "tests/schedulers/common/fifo.bpf.h"

#define HELD_DSQ 0x101ULL

static __u64 held_until;  // 0: the loader did not come yet

static __noinline void legacy_charge(struct task_struct* p, __u64 spent) {
  if (spent > config.fail_after) scx_compat_error("legacy: %llu enqueues, %s[%d]", spent, p->comm, p->pid);
}

// True until the loader has waited.
static __always_inline bool legacy_holds(struct task_struct* p) {
  if (config.hold_ms == 0 || (__u64)p->pid != config.own_pid || !scx_compat_has_dsqs()) return false;
  __u64 now = bpf_ktime_get_ns();
  if (held_until == 0) held_until = now + config.hold_ms * 1000000;
  return now < held_until;
}

SEC("struct_ops/legacy_enqueue")
void BPF_PROG(legacy_enqueue, struct task_struct* p, __u64 enq_flags) {
  legacy_charge(p, __sync_fetch_and_add(&stats.enqueued, 1) + 1);
  if (legacy_holds(p))
    scx_compat_dsq_insert(p, HELD_DSQ, SCX_SLICE_DFL, enq_flags);
  else
    fifo_insert(p, enq_flags);
}

SEC("struct_ops/legacy_dispatch")
void BPF_PROG(legacy_dispatch, __s32 cpu, struct task_struct* prev) {
  if (held_until && bpf_ktime_get_ns() >= held_until && scx_compat_has_dsqs())
    scx_compat_dsq_move_to_local(HELD_DSQ);
  if (fifo_take()) __sync_fetch_and_add(&stats.dispatched, 1);
}

SEC("struct_ops.s/legacy_init")
__s32 BPF_PROG(legacy_init) {
  if (!scx_compat_has_dsqs()) return 0;
  __s32 err = scx_bpf_create_dsq(SHARED_DSQ, -1);
  return err ? err : scx_bpf_create_dsq(HELD_DSQ, -1);
}

SEC(".struct_ops")
struct sched_ext_ops legacy_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)legacy_enqueue,
    .dispatch = (void*)legacy_dispatch,
    .init = (void*)legacy_init,
    .exit = (void*)fifo_exit,
    .name = "legacy",
};
