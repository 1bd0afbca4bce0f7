// stall: inserts one user task into no DSQ, so that it never runs again and the kernel's watchdog disables the scheduler.
#define OWN_ENQUEUE
#include "tests/schedulers/common/fifo.bpf.h"

__s32 victim;  // pid of the lost task, 0 until there is one

static __noinline bool stall_is_victim(struct task_struct* p) {
  __s32 pid = p->pid;

  if (victim) return pid == victim;
  // Init and this scheduler's own process are spared, so that the machine stays usable.
  if (stats.enqueued <= config.fail_after || (p->flags & SCX_PF_KTHREAD) || p->tgid == 1 ||
      p->tgid == (__s32)config.own_pid)
    return false;
  return __sync_val_compare_and_swap(&victim, 0, pid) == 0;
}

SEC("struct_ops/stall_enqueue")
void BPF_PROG(stall_enqueue, struct task_struct* p, __u64 enq_flags) {
  __sync_fetch_and_add(&stats.enqueued, 1);
  if (!stall_is_victim(p)) fifo_insert(p, enq_flags);
}

SEC("struct_ops/stall_dump")
void BPF_PROG(stall_dump, struct scx_dump_ctx* dctx) {
  scx_compat_dump("STALL: enqueued=%llu lost=%d", stats.enqueued, victim);
}

SEC(".struct_ops.link")
struct sched_ext_ops stall_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)stall_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .dump = (void*)stall_dump,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .timeout_ms = 2000,
    .name = "stall",
};
