// warn: the kernel half is sound; its process makes the kernel's log hold a warning (scx_warn.cc).
#include "tests/schedulers/common/fifo.bpf.h"

SEC(".struct_ops.link")
struct sched_ext_ops warn_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)fifo_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "warn",
};
