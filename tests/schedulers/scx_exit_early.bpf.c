// exit_early: sound, but its process never gets so far as to load it (scx_exit_early.cc).
#include "tests/schedulers/common/fifo.bpf.h"

SEC(".struct_ops.link")
struct sched_ext_ops exit_early_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)fifo_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "exit_early",
};
