// slip: errors that the kernel finds, after the statement that made them or in what a callback returned. `--fault` says which.
#define OWN_ENQUEUE
#define OWN_INIT
#include "tests/schedulers/common/fifo.bpf.h"
#include "tests/schedulers/common/slip.h"

void scx_bpf_dsq_insert_vtime(struct task_struct* p, __u64 dsq_id, __u64 slice, __u64 vtime,
                              __u64 enq_flags) __ksym __weak;

struct slot {
  __u64 runs;
};
struct {
  __uint(type, SCX_MAP_TYPE_HASH);
  __uint(max_entries, 32);
  __type(key, __s32);
  __type(value, struct slot);
} slots SEC(".maps");

__u64 next_cpu;

static __noinline __s32 make_queues(__u32 wanted) {
  for (__u32 i = 0; i < wanted && i < 16; ++i) {
    __s32 failed = scx_bpf_create_dsq(0x200 + i % 4, -1);  // four ids, whatever is wanted
    if (failed) return failed;
  }
  return 0;
}

static __noinline __s32 add_slot(__s32 pid) {
  struct slot fresh = {};
  return bpf_map_update_elem(&slots, &pid, &fresh, 1);
}

SEC("struct_ops/slip_enqueue")
void BPF_PROG(slip_enqueue, struct task_struct* p, __u64 enq_flags) {
  const bool early = __sync_fetch_and_add(&stats.enqueued, 1) < config.fail_after;

  if (early || (p->flags & SCX_PF_KTHREAD)) return fifo_insert(p, enq_flags);
  if (config.fault == SLIP_FOREIGN_CPU) {  // round robin, whoever may run there
    const __u64 cpu = __sync_fetch_and_add(&next_cpu, 1) % config.cpus;
    scx_compat_dsq_insert(p, SCX_DSQ_LOCAL_ON | cpu, SCX_SLICE_DFL, enq_flags);
    scx_bpf_kick_cpu((__s32)cpu, 0);
    return;
  }
  if (config.fault == SLIP_TWICE)  // and no return
    scx_compat_dsq_insert(p, SCX_DSQ_LOCAL, SCX_SLICE_DFL / 4, enq_flags);
  if (config.fault == SLIP_MIXED_ORDER && scx_bpf_dsq_insert_vtime) {
    scx_bpf_dsq_insert_vtime(p, SHARED_DSQ, SCX_SLICE_DFL, p->scx.dsq_vtime, enq_flags);
    return;
  }
  fifo_insert(p, enq_flags);
}

SEC("struct_ops.s/slip_init_task")
__s32 BPF_PROG(slip_init_task, struct task_struct* p, struct scx_init_task_args* args) {
  return config.fault == SLIP_FULL_MAP ? add_slot(p->pid) : 0;
}

SEC("struct_ops.s/slip_init")
__s32 BPF_PROG(slip_init) {
  const __s32 failed = scx_bpf_create_dsq(SHARED_DSQ, -1);
  return failed ?: config.fault == SLIP_SAME_DSQ ? make_queues(8) : 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops slip_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)slip_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init_task = (void*)slip_init_task,
    .init = (void*)slip_init,
    .exit = (void*)fifo_exit,
    .name = "slip",
};
