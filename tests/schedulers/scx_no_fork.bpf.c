// no_fork: its init_task refuses every fork after the first N with -ENOMEM, as one whose per-task map is full does.
#include "tests/schedulers/common/fifo.bpf.h"

__u64 forks;

SEC("struct_ops/no_fork_init_task")
__s32 BPF_PROG(no_fork_init_task, struct task_struct* p, struct scx_init_task_args* args) {
  if (args->fork && __sync_fetch_and_add(&forks, 1) >= config.fail_after) return -12;  // -ENOMEM
  return 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops no_fork_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)fifo_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init_task = (void*)no_fork_init_task,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "no_fork",
};
