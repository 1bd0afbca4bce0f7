// demo: gives every task a share of a common budget of enqueues, and aborts with scx_bpf_error() when it is spent.
#define OWN_ENQUEUE
#include "tests/schedulers/common/fifo.bpf.h"

__weak __noinline int demo_charge(struct task_struct* p __arg_trusted, __u64 spent) {
  __u64 limit = config.fail_after;

  if (spent > limit)
    scx_compat_error("demo: budget of %llu enqueues spent by %s[%d] on cpu %d", limit, p->comm, p->pid,
                     bpf_get_smp_processor_id());
  return 0;
}

static __noinline void demo_place(struct task_struct* p, __u64 enq_flags) {
  __u64 spent = __sync_fetch_and_add(&stats.enqueued, 1) + 1;

  demo_charge(p, spent);
  fifo_insert(p, enq_flags);
}

SEC("struct_ops/demo_enqueue")
void BPF_PROG(demo_enqueue, struct task_struct* p, __u64 enq_flags) { demo_place(p, enq_flags); }

SEC("struct_ops/demo_dump")
void BPF_PROG(demo_dump, struct scx_dump_ctx* dctx) {
  scx_compat_dump("DEMO: enqueued=%llu dispatched=%llu limit=%llu", stats.enqueued, stats.dispatched,
                  config.fail_after);
}

SEC("struct_ops/demo_dump_task")
void BPF_PROG(demo_dump_task, struct scx_dump_ctx* dctx, struct task_struct* p) {
  scx_compat_dump("DEMO: slice=%llu weight=%u", p->scx.slice, p->scx.weight);
}

SEC(".struct_ops.link")
struct sched_ext_ops demo_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)demo_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .dump = (void*)demo_dump,
    .dump_task = (void*)demo_dump_task,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "demo",
};
