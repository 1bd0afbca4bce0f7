// starve: makes one kind of mistake that leaves tasks waiting. `--fault` says which; each is one that authors make.
#define OWN_ENQUEUE
#define OWN_DISPATCH
#define OWN_INIT
#include "tests/schedulers/common/fifo.bpf.h"
#include "tests/schedulers/common/starve.h"

#define CPU_DSQ(cpu) (0x200ULL + (__u32)(cpu))
#define FAIR_DSQ 0x300ULL
#define KWORKER_DSQ 0x400ULL
#define PF_WQ_WORKER 0x20
#define CLOCK_MONOTONIC 1
#define SCX_ENQ_WAKEUP 1

__s32 scx_bpf_task_cpu(const struct task_struct* p) __ksym;
__s32 scx_bpf_dsq_nr_queued(__u64 dsq_id) __ksym;
void scx_bpf_dsq_insert_vtime(struct task_struct* p, __u64 dsq_id, __u64 slice, __u64 vtime,
                              __u64 enq_flags) __ksym __weak;

struct bpf_timer {
  __u64 __opaque[2];
} __attribute__((aligned(8)));

struct gate {
  struct bpf_timer timer;
};
struct {
  __uint(type, SCX_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct gate);
} gates SEC(".maps");

// Tasks that the scheduler has taken and not yet given back.
struct {
  __uint(type, SCX_MAP_TYPE_QUEUE);
  __uint(max_entries, 4);
  __type(value, __s32);
} pending SEC(".maps");

// fault 10: what dispatch looks through.
#define TABLE_SIZE (1 << 18)
struct {
  __uint(type, SCX_MAP_TYPE_ARRAY);
  __uint(max_entries, TABLE_SIZE);
  __type(key, __u32);
  __type(value, __u64);
} table SEC(".maps");

__u64 best;       // fault 10: the greatest value in it
__u64 credits;    // fault 7: slices that the timer hands out
__u64 timer_ran;  // how often
__u64 vtime_now;  // fault 5: should grow, and does not

static __always_inline bool spared(struct task_struct* p) {
  return (p->flags & SCX_PF_KTHREAD) || p->tgid == 1 || p->tgid == (__s32)config.own_pid ||
         stats.enqueued <= config.fail_after;
}

SEC("struct_ops/starve_enqueue")
void BPF_PROG(starve_enqueue, struct task_struct* p, __u64 enq_flags) {
  __sync_fetch_and_add(&stats.enqueued, 1);
  const __s32 cpu = scx_bpf_task_cpu(p);
  __s32 pid = p->pid;

  if (config.fault == STARVE_KWORKERS && (p->flags & PF_WQ_WORKER) && stats.enqueued > config.fail_after) {
    scx_compat_dsq_insert(p, KWORKER_DSQ, SCX_SLICE_DFL, enq_flags);
    return;
  }
  if (spared(p)) return fifo_insert(p, enq_flags);
  switch (config.fault) {
    case STARVE_FOREIGN_DSQ:  // the neighbour's queue, whoever may run there
      scx_compat_dsq_insert(p, CPU_DSQ(((__u32)cpu + 1) % (__u32)config.cpus), SCX_SLICE_DFL, enq_flags);
      return;
    case STARVE_KWORKERS:
    case STARVE_SLOW:
      fifo_insert(p, enq_flags);
      return;
    case STARVE_ENDLESS:
      scx_compat_dsq_insert(p, SHARED_DSQ, SCX_SLICE_INF, enq_flags);
      return;
    case STARVE_FULL_LOCAL:
      scx_compat_dsq_insert(p, SCX_DSQ_LOCAL_ON | 0, SCX_SLICE_DFL, enq_flags);
      return;
    case STARVE_LOCAL:  // and nobody takes it back when the CPU is taken
      scx_compat_dsq_insert(p, SCX_DSQ_LOCAL, SCX_SLICE_DFL, enq_flags);
      return;
    case STARVE_UNSERVED_DSQ:  // dispatch knows only the first two queues
      scx_compat_dsq_insert(p, CPU_DSQ((__u32)pid % 3), SCX_SLICE_DFL, enq_flags);
      return;
    case STARVE_NO_KICK:  // another CPU's queue, and nobody tells that CPU
      scx_compat_dsq_insert(p, CPU_DSQ(((__u32)cpu + 2) % (__u32)config.cpus), SCX_SLICE_DFL, enq_flags);
      return;
    case STARVE_IN_MAP:                      // noted for later, and later never comes
      bpf_map_push_elem(&pending, &pid, 0);  // and when it is full, the task is lost at once
      return;
    case STARVE_ORDER:  // who wakes is never charged, and so comes before who computes, always
      if (scx_bpf_dsq_insert_vtime)
        scx_bpf_dsq_insert_vtime(p, FAIR_DSQ, SCX_SLICE_DFL,
                                 vtime_now + (enq_flags & SCX_ENQ_WAKEUP ? 0 : 1000), enq_flags);
      return;
    default:
      scx_compat_dsq_insert(p, CPU_DSQ(0), SCX_SLICE_DFL, enq_flags);
  }
}

static long look_at(__u32 i, void* ctx) {
  __u64* value = bpf_map_lookup_elem(&table, &i);
  if (value && *value > best) best = *value;
  return 0;
}

SEC("struct_ops/starve_dispatch")
void BPF_PROG(starve_dispatch, __s32 cpu, struct task_struct* prev) {
  if (config.fault == STARVE_SLOW && stats.enqueued > config.fail_after) bpf_loop(TABLE_SIZE, look_at, 0, 0);
  bool found = fifo_take();

  if (!found && config.fault == STARVE_EMPTY_DISPATCH && scx_bpf_dsq_nr_queued(CPU_DSQ(0)) < 64)
    return;  // a batch
  if (!found && config.fault == STARVE_TIMER) {
    if (!credits) return;
    __sync_fetch_and_sub(&credits, 1);
    found = scx_compat_dsq_move_to_local(CPU_DSQ(0));
  }
  if (!found && config.fault == STARVE_UNSERVED_DSQ)
    found = scx_compat_dsq_move_to_local(CPU_DSQ(0)) || scx_compat_dsq_move_to_local(CPU_DSQ(1));
  else if (!found && config.fault == STARVE_ORDER)
    found = scx_compat_dsq_move_to_local(FAIR_DSQ);
  else if (!found && config.fault == STARVE_KWORKERS)
    found = scx_bpf_dsq_nr_queued(KWORKER_DSQ) >= 64 && scx_compat_dsq_move_to_local(KWORKER_DSQ);
  else if (!found)
    found = scx_compat_dsq_move_to_local(CPU_DSQ(cpu));
  if (found) __sync_fetch_and_add(&stats.dispatched, 1);
}

static int hand_out(void* map, __u32* key, struct gate* gate) {
  credits = 64;
  if (++timer_ran < config.fail_after) bpf_timer_start(&gate->timer, 1000000, 0);
  return 0;
}

SEC("struct_ops.s/starve_init")
__s32 BPF_PROG(starve_init) {
  __u32 key = 0;
  struct gate* gate = bpf_map_lookup_elem(&gates, &key);
  __s32 failed = scx_bpf_create_dsq(SHARED_DSQ, -1) ?: scx_bpf_create_dsq(FAIR_DSQ, -1) ?: scx_bpf_create_dsq(KWORKER_DSQ, -1);

  for (__u32 cpu = 0; cpu < 64 && cpu < config.cpus + 3 && !failed; ++cpu)
    failed = scx_bpf_create_dsq(CPU_DSQ(cpu), -1);
  if (failed || !gate) return failed;
  if (config.fault != STARVE_TIMER) return 0;
  bpf_timer_init(&gate->timer, &gates, CLOCK_MONOTONIC);
  bpf_timer_set_callback(&gate->timer, hand_out);
  bpf_timer_start(&gate->timer, 1000000, 0);
  return 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops starve_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)starve_enqueue,
    .dispatch = (void*)starve_dispatch,
    .init = (void*)starve_init,
    .exit = (void*)fifo_exit,
    .timeout_ms = 3000,
    .name = "starve",
};
