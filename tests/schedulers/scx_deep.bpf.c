// deep: eight functions between ops.enqueue and the error, as many frames as BPF allows. For what probing costs.
#define OWN_ENQUEUE
#include "tests/schedulers/common/fifo.bpf.h"

__weak __noinline int deep_level_7(struct task_struct* p __arg_trusted, __u64 spent) {
  if (spent > config.fail_after)
    scx_compat_error("deep: %llu enqueues, the last by %s[%d]", spent, p->comm, p->pid);
  return (int)spent;
}

#define LEVEL(n, next)                                                                     \
  __weak __noinline int deep_level_##n(struct task_struct* p __arg_trusted, __u64 spent) { \
    return deep_level_##next(p, spent) + 1;                                                \
  }
LEVEL(6, 7)
LEVEL(5, 6)
LEVEL(4, 5)
LEVEL(3, 4)
LEVEL(2, 3)
LEVEL(1, 2)

SEC("struct_ops/deep_enqueue")
void BPF_PROG(deep_enqueue, struct task_struct* p, __u64 enq_flags) {
  deep_level_1(p, __sync_fetch_and_add(&stats.enqueued, 1) + 1);
  fifo_insert(p, enq_flags);
}

SEC(".struct_ops.link")
struct sched_ext_ops deep_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)deep_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "deep",
};
