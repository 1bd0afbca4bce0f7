// race: does its work, and is wrong only when two CPUs interleave badly. `--fault` says which mistake is in it; each is one that
// authors make, and each window is some ten instructions wide.
#define OWN_SELECT_CPU
#define OWN_ENQUEUE
#define OWN_DISPATCH
#define OWN_INIT
#include "tests/schedulers/common/fifo.bpf.h"
#include "tests/schedulers/common/race.h"

#define CPU_DSQ(cpu) (0x200ULL + (__u32)(cpu))
#define MAX_CPUS 64

__s32 scx_bpf_task_cpu(const struct task_struct* p) __ksym;

// A reservation that one task at a time may hold: fault 1.
struct slot {
  volatile __s32 holder;  // pid; 0: free
  __u64 used;
};
struct {
  __uint(type, SCX_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct slot);
} slots SEC(".maps");

// What the scheduler knows of a task, from init_task to exit_task: fault 3.
struct context {
  __u64 enqueues;
};
struct {
  __uint(type, 1);  // hash
  __uint(max_entries, 4096);
  __type(key, __s32);
  __type(value, struct context);
} contexts SEC(".maps");

volatile __u32 filled[MAX_CPUS];  // fault 2: the CPU's DSQ may hold tasks
volatile __s32 runs[MAX_CPUS];    // fault 3: pid of the task that has the CPU
__u64 turns;

static __always_inline bool spared(struct task_struct* p) {
  return (p->flags & SCX_PF_KTHREAD) || p->tgid == 1 || p->tgid == (__s32)config.own_pid;
}

// Takes the slot if it is free. What lies between the check and the act is another CPU's chance.
static __noinline void use_slot(struct task_struct* p) {
  __u32 key = 0;
  struct slot* slot = bpf_map_lookup_elem(&slots, &key);

  if (!slot || slot->holder) return;
  slot->holder = p->pid;
  __sync_fetch_and_add(&slot->used, 1);
  if (slot->holder != p->pid)
    scx_compat_error("race: the slot of %s[%d] was given to pid %d as well", p->comm, p->pid, slot->holder);
  slot->holder = 0;
}

// Fault 2: a task stays where it was, so that its waker's CPU and its own work at the same time.
SEC("struct_ops/race_select_cpu")
__s32 BPF_PROG(race_select_cpu, struct task_struct* p, __s32 prev_cpu, __u64 wake_flags) {
  bool idle = false;

  return config.fault == RACE_LOST_WAKEUP ? prev_cpu
                                          : scx_compat_select_cpu_dfl(p, prev_cpu, wake_flags, &idle);
}

SEC("struct_ops/race_enqueue")
void BPF_PROG(race_enqueue, struct task_struct* p, __u64 enq_flags) {
  __sync_fetch_and_add(&stats.enqueued, 1);
  const __u32 target = ((__u32)scx_bpf_task_cpu(p) + 1) % (__u32)config.cpus % MAX_CPUS;

  if (config.fault == RACE_CHECK_THEN_ACT) use_slot(p);
  if (config.fault != RACE_LOST_WAKEUP || spared(p) || __sync_fetch_and_add(&turns, 1) % 1024 != 0)
    return fifo_insert(p, enq_flags);
  // Now and then a task is handed to the next CPU, which looks into its DSQ only if it is told to. The mistake: the kernel inserts
  // the task when this callback has returned. If the next CPU looks before that, it finds nothing and drops the note. The task
  // then waits until another one is handed to that CPU: for ever, if nobody but its partner would come.
  scx_compat_dsq_insert(p, CPU_DSQ(target), SCX_SLICE_DFL, enq_flags);
  filled[target] = 1;
  scx_bpf_kick_cpu((__s32)target, 0);
}

// How busy the others are, by what their tasks have asked for: fault 3.
static __noinline __u64 demand_of(__u32 cpu) {
  const __s32 pid = runs[cpu % MAX_CPUS];
  if (!pid) return 0;
  struct context* context = bpf_map_lookup_elem(&contexts, &pid);
  if (!context) {
    scx_compat_error("race: the task with pid %d, which runs on cpu %u, has no context", pid, cpu);
    return 0;
  }
  return context->enqueues;
}

SEC("struct_ops/race_dispatch")
void BPF_PROG(race_dispatch, __s32 cpu, struct task_struct* prev) {
  if (config.fault == RACE_AFTER_EXIT && __sync_fetch_and_add(&turns, 1) % 4 == 0)
    demand_of(((__u32)cpu + 1) % (__u32)config.cpus);
  const __u32 here = (__u32)cpu % MAX_CPUS;
  bool found = false;
  if (config.fault == RACE_LOST_WAKEUP && filled[here]) {
    found = scx_compat_dsq_move_to_local(CPU_DSQ(here));
    if (!found) filled[here] = 0;
  }
  if (!found) found = fifo_take();
  if (found) __sync_fetch_and_add(&stats.dispatched, 1);
}

SEC("struct_ops/race_running")
void BPF_PROG(race_running, struct task_struct* p) { runs[(__u32)scx_bpf_task_cpu(p) % MAX_CPUS] = p->pid; }

SEC("struct_ops/race_stopping")
void BPF_PROG(race_stopping, struct task_struct* p, bool runnable) {
  runs[(__u32)scx_bpf_task_cpu(p) % MAX_CPUS] = 0;
}

SEC("struct_ops/race_init_task")
__s32 BPF_PROG(race_init_task, struct task_struct* p, struct scx_init_task_args* args) {
  struct context fresh = {};
  __s32 pid = p->pid;

  bpf_map_update_elem(&contexts, &pid, &fresh, 0);
  return 0;
}

SEC("struct_ops/race_exit_task")
void BPF_PROG(race_exit_task, struct task_struct* p, struct scx_exit_task_args* args) {
  __s32 pid = p->pid;

  bpf_map_delete_elem(&contexts, &pid);
}

SEC("struct_ops.s/race_init")
__s32 BPF_PROG(race_init) {
  __s32 failed = scx_bpf_create_dsq(SHARED_DSQ, -1);

  for (__u32 cpu = 0; cpu < MAX_CPUS && cpu < config.cpus && !failed; ++cpu)
    failed = scx_bpf_create_dsq(CPU_DSQ(cpu), -1);
  return failed;
}

SEC(".struct_ops.link")
struct sched_ext_ops race_ops = {
    .select_cpu = (void*)race_select_cpu,
    .enqueue = (void*)race_enqueue,
    .dispatch = (void*)race_dispatch,
    .running = (void*)race_running,
    .stopping = (void*)race_stopping,
    .init_task = (void*)race_init_task,
    .exit_task = (void*)race_exit_task,
    .init = (void*)race_init,
    .exit = (void*)fifo_exit,
    .timeout_ms = 1000,
    // Who wakes a task does not wait until its CPU has enqueued it (since 6.15).
    .flags = 32,  // SCX_OPS_ALLOW_QUEUED_WAKEUP
    .name = "race",
};
