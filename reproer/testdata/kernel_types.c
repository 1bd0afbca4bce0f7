// BTF of a pretended kernel, compiled for BPF at build time: what probe_planner_test asks of a real one.
typedef unsigned long long u64;
typedef unsigned int u32;
typedef int s32;
typedef unsigned char u8;
typedef _Bool bool;

enum scx_enq_flags {
  SCX_ENQ_WAKEUP = 1,
  SCX_ENQ_HEAD = 16,
  SCX_ENQ_LAST = 1ULL << 41,
  __SCX_ENQ_INTERNAL_MASK = 0xffULL << 56,
};
enum scx_ent_flags {
  SCX_TASK_QUEUED = 1,
  SCX_TASK_STATE_SHIFT = 8,
  SCX_TASK_STATE_BITS = 2,
  SCX_TASK_STATE_MASK = 0x300,
  SCX_TASK_INIT = 0x100,
  SCX_TASK_READY = 0x200,
  SCX_TASK_ENABLED = 0x300,
};
enum scx_exit_kind { SCX_EXIT_NONE = 0, SCX_EXIT_ERROR = 1024 };

struct cpumask {
  unsigned long bits[128];
};
struct scx_dispatch_q {
  s32 lock;
  u32 nr;
  u64 id;
};
struct sched_ext_entity {
  struct scx_dispatch_q* dsq;
  u32 flags;
  u64 slice;
};
struct thread_info {
  u32 cpu;
};
struct task_struct {
  struct thread_info thread_info;
  u32 __state;
  const struct cpumask* cpus_ptr;
  char comm[16];
  s32 pid;
  struct sched_ext_entity scx;
};
struct rq {
  s32 cpu;
  u32 nr_running;
  struct task_struct* curr;
};
struct odd {
  u64 first;
  u8 low : 3;
  u8 high : 5;
  char label[8];
  struct rq* skipped;
  bool ready;
};
struct scx_sched;
struct sched_ext_ops {
  s32 (*select_cpu)(struct task_struct*, s32, u64);
  void (*enqueue)(struct task_struct*, u64);
};

struct rq a_rq;
struct scx_dispatch_q a_dsq;
struct cpumask a_mask;
struct sched_ext_ops an_ops;
enum scx_enq_flags an_enq;
enum scx_ent_flags an_ent;

__attribute__((noinline)) void do_enqueue_task(struct rq* rq, struct task_struct* p, u64 enq_flags,
                                               int sticky_cpu) {
  rq->nr_running += p->pid + (int)enq_flags + sticky_cpu;
}
__attribute__((noinline)) u64 look_at(struct odd* o, u32* count, const char* name) {
  return o->first + *count + name[0];
}
__attribute__((noinline)) bool scx_vexit(struct scx_sched* sch, enum scx_exit_kind kind) {
  return sch && kind;
}
__attribute__((noinline)) bool scx_kf_exit(enum scx_exit_kind kind) { return kind; }
void sched_ext_ops__enqueue(struct task_struct* p, u64 enq_flags) { p->pid = (int)enq_flags; }
