// legacy: registers by a map update instead of a link, as schedulers of the first kernels with sched_ext do; aborts with
// scx_bpf_error() after N enqueues.
#define OWN_ENQUEUE
#include "tests/schedulers/common/fifo.bpf.h"

static __noinline void legacy_charge(struct task_struct* p, __u64 spent) {
  if (spent > config.fail_after) scx_compat_error("legacy: %llu enqueues, %s[%d]", spent, p->comm, p->pid);
}

SEC("struct_ops/legacy_enqueue")
void BPF_PROG(legacy_enqueue, struct task_struct* p, __u64 enq_flags) {
  legacy_charge(p, __sync_fetch_and_add(&stats.enqueued, 1) + 1);
  fifo_insert(p, enq_flags);
}

SEC(".struct_ops")
struct sched_ext_ops legacy_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)legacy_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "legacy",
};
