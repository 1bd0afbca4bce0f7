// user_decides: its user half decides. Pids of waiting tasks go to it through one queue and come back through another; only
// then are they dispatched.
#define OWN_ENQUEUE
#define OWN_DISPATCH
#include "tests/schedulers/common/fifo.bpf.h"

#define DECISIONS_PER_DISPATCH 8

struct {
  __uint(type, SCX_MAP_TYPE_QUEUE);
  __uint(max_entries, 4096);
  __type(value, __s32);
} asked SEC(".maps");

struct {
  __uint(type, SCX_MAP_TYPE_QUEUE);
  __uint(max_entries, 4096);
  __type(value, __s32);
} decided SEC(".maps");

SEC("struct_ops/user_decides_enqueue")
void BPF_PROG(user_decides_enqueue, struct task_struct* p, __u64 enq_flags) {
  __s32 pid = p->pid;

  __sync_fetch_and_add(&stats.enqueued, 1);
  // The user half itself, and kernel threads, which it may wait for.
  if (p->tgid == (__s32)config.own_pid || (p->flags & SCX_PF_KTHREAD)) {
    fifo_insert(p, enq_flags);
    return;
  }
  if (bpf_map_push_elem(&asked, &pid, 0)) fifo_insert(p, enq_flags);
}

SEC("struct_ops/user_decides_dispatch")
void BPF_PROG(user_decides_dispatch, __s32 cpu, struct task_struct* prev) {
  __s32 pid;

  for (int i = 0; i < DECISIONS_PER_DISPATCH; ++i) {
    if (bpf_map_pop_elem(&decided, &pid)) break;
    struct task_struct* p = bpf_task_from_pid(pid);
    if (!p) continue;
    fifo_insert(p, 0);
    scx_compat_kick_idle(p);
    __sync_fetch_and_add(&stats.dispatched, 1);
    bpf_task_release(p);
  }
  fifo_take();
}

SEC(".struct_ops.link")
struct sched_ext_ops user_decides_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)user_decides_enqueue,
    .dispatch = (void*)user_decides_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "user_decides",
};
