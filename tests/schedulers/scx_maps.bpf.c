// maps: keeps data about tasks in a map of each common kind, and aborts with scx_bpf_error() after N enqueues.
#define OWN_ENQUEUE
#include "tests/schedulers/common/fifo.bpf.h"

enum maps_sort { MAPS_NOBODY = 0, MAPS_KTHREAD = 1, MAPS_USER = 2 };

struct maps_book {
  __u64 enqueues;
  enum maps_sort sort;
  bool first;
  char comm[16];
};

struct {
  __uint(type, 1);  // BPF_MAP_TYPE_HASH
  __uint(max_entries, 1024);
  __type(key, __s32);
  __type(value, struct maps_book);
} by_pid SEC(".maps");

struct {
  __uint(type, 9);  // BPF_MAP_TYPE_LRU_HASH
  __uint(max_entries, 64);
  __type(key, __u64);
  __type(value, __u64);
} recent SEC(".maps");

struct {
  __uint(type, 6);  // BPF_MAP_TYPE_PERCPU_ARRAY
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, struct maps_book);
} by_cpu SEC(".maps");

struct {
  __uint(type, 5);  // BPF_MAP_TYPE_PERCPU_HASH
  __uint(max_entries, 8);
  __type(key, enum maps_sort);
  __type(value, __u64);
} by_sort SEC(".maps");

struct {
  __uint(type, 29);      // BPF_MAP_TYPE_TASK_STORAGE
  __uint(map_flags, 1);  // BPF_F_NO_PREALLOC
  __type(key, int);
  __type(value, struct maps_book);
} of_task SEC(".maps");

static __noinline void maps_note(struct maps_book* book, enum maps_sort sort, struct task_struct* p) {
  book->first = book->enqueues == 0;
  book->enqueues++;
  book->sort = sort;
  bpf_probe_read_kernel_str(book->comm, sizeof(book->comm), p->comm);
}

SEC("struct_ops/maps_enqueue")
void BPF_PROG(maps_enqueue, struct task_struct* p, __u64 enq_flags) {
  __u64 all = __sync_fetch_and_add(&stats.enqueued, 1) + 1;
  enum maps_sort sort = p->flags & SCX_PF_KTHREAD ? MAPS_KTHREAD : MAPS_USER;
  struct maps_book fresh = {};
  __u32 zero = 0;
  __u64 one = 1, pid64 = p->pid;
  __s32 pid = p->pid;

  struct maps_book* book = bpf_map_lookup_elem(&by_pid, &pid);
  if (!book) {
    bpf_map_update_elem(&by_pid, &pid, &fresh, 0);
    book = bpf_map_lookup_elem(&by_pid, &pid);
  }
  if (book) maps_note(book, sort, p);
  bpf_map_update_elem(&recent, &pid64, &all, 0);
  book = bpf_map_lookup_elem(&by_cpu, &zero);
  if (book) maps_note(book, sort, p);
  __u64* count = bpf_map_lookup_elem(&by_sort, &sort);
  if (count)
    ++*count;
  else
    bpf_map_update_elem(&by_sort, &sort, &one, 0);
  book = bpf_task_storage_get(&of_task, p, NULL, 1);  // BPF_LOCAL_STORAGE_GET_F_CREATE
  if (book) maps_note(book, sort, p);

  if (all > config.fail_after) scx_compat_error("maps: book closed after %llu enqueues", config.fail_after);
  fifo_insert(p, enq_flags);
}

SEC(".struct_ops.link")
struct sched_ext_ops maps_ops = {
    .select_cpu = (void*)fifo_select_cpu,
    .enqueue = (void*)maps_enqueue,
    .dispatch = (void*)fifo_dispatch,
    .init = (void*)fifo_init,
    .exit = (void*)fifo_exit,
    .name = "maps",
};
