// BTF of a pretended scheduler: a partial copy of a kernel struct at other offsets, and structs of its own.
typedef unsigned long long __u64;

struct task_struct {
  int pid;
  char comm[16];
};
struct cell_ctx {
  __u64 budget;
  int cell;
};

struct task_struct a_task;
struct cell_ctx a_cell;

__attribute__((noinline)) int x_place(struct task_struct* p, struct cell_ctx* c, __u64 enq_flags) {
  return p->pid + (int)c->budget + (int)enq_flags;
}
