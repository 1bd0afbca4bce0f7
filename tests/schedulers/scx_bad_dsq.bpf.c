// bad_dsq: after a while, sends a task to a dispatch queue that was never created.
#define OWN_ENQUEUE
#include "tests/schedulers/common/fifo.bpf.h"

static __noinline __u64 bad_dsq_pick(__u64 nr) { return nr > config.fail_after ? config.dsq_id : fifo_dsq(); }

SEC("struct_ops/bad_dsq_enqueue")
void BPF_PROG(bad_dsq_enqueue, struct task_struct* p, __u64 enq_flags) {
  __u64 nr = __sync_fetch_and_add(&stats.enqueued, 1) + 1;

  scx_compat_dsq_insert(p, bad_dsq_pick(nr), SCX_SLICE_DFL, enq_flags);
}

SEC(".struct_ops.link")
struct sched_ext_ops bad_dsq_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)bad_dsq_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "bad_dsq",
};
