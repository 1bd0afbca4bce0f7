// sysrq: the kernel half is sound; it is the process that brings the kernel down (scx_sysrq.cc).
#include "tests/schedulers/common/fifo.bpf.h"

SEC(".struct_ops.link")
struct sched_ext_ops sysrq_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)fifo_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "sysrq",
};
