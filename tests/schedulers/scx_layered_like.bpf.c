// layered_like: built the way large schedulers are. Two dozen subprograms, static and global, some inlined away; names
// longer than the kernel's 15 characters; sleepable callbacks; an arena; a cpumask kept as a kptr; no ops.enqueue, so the
// kernel queues by itself. It aborts in ops.init_task, a sleepable callback, at fork number fail_after + 1.
#define OWN_ENQUEUE
#define OWN_DISPATCH
#define OWN_INIT
#define __arena __attribute__((address_space(1)))
#include "tests/schedulers/common/fifo.bpf.h"

#define SCX_MAP_TYPE_ARENA 33
#define SCX_F_MMAPABLE 1024

struct bpf_cpumask;
struct bpf_cpumask* bpf_cpumask_create(void) __ksym __weak;
void bpf_cpumask_release(struct bpf_cpumask* cpumask) __ksym __weak;
void bpf_cpumask_set_cpu(__u32 cpu, struct bpf_cpumask* cpumask) __ksym __weak;
void __arena* bpf_arena_alloc_pages(void* map, void __arena* addr, __u32 pages, int node,
                                    __u64 flags) __ksym __weak;

// A layer's account, as the scheduler's own types are: fields that no kernel knows.
struct layer_account {
  __u64 nr_forks;
  __u64 nr_switches;
  __u32 layer_id;
  bool is_confined;
  char layer_name[16];
};

struct layer_entry {
  struct layer_account account;
  struct bpf_cpumask __kptr* allowed;
};

struct {
  __uint(type, SCX_MAP_TYPE_ARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, struct layer_entry);
} layer_entries SEC(".maps");

struct {
  __uint(type, SCX_MAP_TYPE_ARENA);
  __uint(map_flags, SCX_F_MMAPABLE);
  __uint(max_entries, 4);  // pages
} layer_arena SEC(".maps");

__u64 __arena* arena_counter;

static __noinline struct layer_entry* layer_entry_of_index(__u32 index) {
  __u32 key = index & 3;
  return bpf_map_lookup_elem(&layer_entries, &key);
}

// Twenty small subprograms of one shape.
#define STEP(n)                                                                    \
  static __noinline int layer_accounting_step_##n(struct layer_account* account) { \
    if (!account) return n;                                                        \
    account->nr_switches += n;                                                     \
    return (int)(account->nr_switches & 0xff);                                     \
  }
#define STEPS(M) \
  M(1)           \
  M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14) M(15) M(16) M(17) M(18) M(19) M(20)
STEPS(STEP)

// Global: the verifier looks at it alone. Fails the run.
__weak __noinline int layer_fork_budget_verdict(struct task_struct* p __arg_trusted, __u64 forks) {
  if (forks > config.fail_after)
    scx_compat_error("layer budget of %llu forks exceeded by %s[%d]", config.fail_after, p->comm, p->pid);
  return forks > config.fail_after ? -7 : 0;
}

static __noinline int layer_account_new_task(struct layer_account* account, struct task_struct* p) {
  __u64 forks = __sync_fetch_and_add(&account->nr_forks, 1) + 1;
  return layer_fork_budget_verdict(p, forks);
}

static __always_inline void count_in_arena(void) {
  __u64 __arena* counter = arena_counter;
  const void* arena = &layer_arena;  // a program has the arena that it refers to
  asm volatile("" : : "r"(arena));
  if (counter) *counter += 1;
}

SEC("struct_ops.s/layered_like_init_task")
__s32 BPF_PROG(layered_like_init_task, struct task_struct* p, struct scx_init_task_args* args) {
  struct layer_entry* entry = layer_entry_of_index(1);
  if (!entry || !args->fork) return 0;
  count_in_arena();
  layer_account_new_task(&entry->account, p);
  return 0;
}

SEC("struct_ops/layered_like_running_task")
void BPF_PROG(layered_like_running_task, struct task_struct* p) {
  struct layer_entry* entry = layer_entry_of_index(p->pid);
  int sum = 0;
  if (!entry) return;
#define CALL(n) sum += layer_accounting_step_##n(&entry->account);
  STEPS(CALL)
  __sync_fetch_and_add(&stats.enqueued, (__u64)(sum & 1));
}

SEC("struct_ops/layered_like_dispatch_to_cpu")
void BPF_PROG(layered_like_dispatch_to_cpu, __s32 cpu, struct task_struct* prev) { fifo_take(); }

SEC("struct_ops.s/layered_like_init_everything")
__s32 BPF_PROG(layered_like_init_everything) {
  struct layer_entry* entry = layer_entry_of_index(1);
  struct bpf_cpumask* mask;

  if (!entry) return -1;
  entry->account.layer_id = 1;
  entry->account.is_confined = true;
  __builtin_memcpy(entry->account.layer_name, "interactive", 12);
  if (bpf_ksym_exists(bpf_cpumask_create) && (mask = bpf_cpumask_create())) {
    bpf_cpumask_set_cpu(0, mask);
    mask = bpf_kptr_xchg(&entry->allowed, mask);
    if (mask) bpf_cpumask_release(mask);
  }
  if (bpf_ksym_exists(bpf_arena_alloc_pages))
    arena_counter = (__u64 __arena*)bpf_arena_alloc_pages(&layer_arena, 0, 1, -1, 0);
  return scx_compat_has_dsqs() ? scx_bpf_create_dsq(SHARED_DSQ, -1) : 0;
}

SEC(".struct_ops.link")
struct sched_ext_ops layered_like_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .dispatch = (void*)layered_like_dispatch_to_cpu,
    .running = (void*)layered_like_running_task,
    .init_task = (void*)layered_like_init_task,
    .init = (void*)layered_like_init_everything,
    .exit = (void*)fifo_exit,
    .name = "layered_like",
};
