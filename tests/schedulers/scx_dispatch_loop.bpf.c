// dispatch_loop: keeps its own queue of pids, and hands out the head until the queue is empty. After a
// while it only looks at the head where it should take it off, so the queue never gets empty: it inserts
// the same task for ever, and the kernel cuts it off when the dispatch buffer is full.
#define OWN_ENQUEUE
#define OWN_DISPATCH
#include "tests/schedulers/common/fifo.bpf.h"

#define MAX_QUEUED 4096
#define MAX_ROUNDS 64  // the verifier wants a bound; the buffer of the kernel holds 32

struct {
  __uint(type, SCX_MAP_TYPE_QUEUE);
  __uint(max_entries, MAX_QUEUED);
  __type(value, __s32);
} waiting SEC(".maps");

SEC("struct_ops/loop_enqueue")
void BPF_PROG(loop_enqueue, struct task_struct* p, __u64 enq_flags) {
  __s32 pid = p->pid;

  __sync_fetch_and_add(&stats.enqueued, 1);
  if (bpf_map_push_elem(&waiting, &pid, 0)) fifo_insert(p, enq_flags);
}

bool looped;

static __noinline bool loop_hand_out(__s32 pid) {
  struct task_struct* p = bpf_task_from_pid(pid);

  if (!p) return false;
  scx_compat_dsq_insert(p, fifo_dsq(), SCX_SLICE_DFL, 0);
  __sync_fetch_and_add(&stats.dispatched, 1);
  bpf_task_release(p);
  return true;
}

// The bug: the head is looked at, but stays in the queue.
static long loop_round(__u32 round, void* ctx) {
  __s32 pid = 0;

  if (bpf_map_peek_elem(&waiting, &pid)) return 1;
  if (!loop_hand_out(pid)) bpf_map_pop_elem(&waiting, &pid);  // the task is gone
  return 0;
}

static __noinline void loop_drain(void) {
  // Once is enough for the kernel to refuse. Every CPU looping on under its run queue lock would keep the
  // others, and the kernel's own way out, waiting for that lock for seconds.
  if (!looped && bpf_loop(MAX_ROUNDS, loop_round, 0, 0) == MAX_ROUNDS) looped = true;
}

SEC("struct_ops/loop_dispatch")
void BPF_PROG(loop_dispatch, __s32 cpu, struct task_struct* prev) {
  __s32 pid = 0;

  if (fifo_take()) return;
  if (stats.enqueued > config.fail_after)
    loop_drain();
  else if (!bpf_map_pop_elem(&waiting, &pid))
    loop_hand_out(pid);
  fifo_take();
}

SEC(".struct_ops.link")
struct sched_ext_ops dispatch_loop_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)loop_enqueue,
    .dispatch = (void*)loop_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "dispatch_loop",
};
