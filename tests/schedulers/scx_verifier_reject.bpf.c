// verifier_reject: counts enqueues per slot of a map, and forgets that a lookup can fail.
#define OWN_ENQUEUE
#include "tests/schedulers/common/fifo.bpf.h"

struct {
  __uint(type, SCX_MAP_TYPE_ARRAY);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u64);
} per_slot SEC(".maps");

static __noinline void reject_count(struct task_struct* p) {
  __u32 slot = p->pid;
  __u64* count = bpf_map_lookup_elem(&per_slot, &slot);

  *count += 1;
}

SEC("struct_ops/reject_enqueue")
void BPF_PROG(reject_enqueue, struct task_struct* p, __u64 enq_flags) {
  reject_count(p);
  fifo_insert(p, enq_flags);
}

SEC(".struct_ops.link")
struct sched_ext_ops verifier_reject_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)reject_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "verifier_reject",
};
