// Compiled for BPF at build time: BTF with known contents for btf_view_test.
typedef unsigned long long u64;
typedef _Bool bool;

enum sample_flags { SAMPLE_NONE = 0, SAMPLE_WAKEUP = 1, SAMPLE_HEAD = 16 };
enum sample_big { SAMPLE_TOP = 1ULL << 63, SAMPLE_LOW = 1 };
enum sample_signed { SAMPLE_MINUS = -1, SAMPLE_PLUS = 1 };

struct sample_queue {
  int lock;
  u64 id;
  struct sample_queue* next;
};

struct sample_entity {
  struct sample_queue* dsq;
  u64 slice;
  unsigned int first : 3;
  unsigned int second : 5;
};

struct sample_task {
  int pid;
  char comm[16];
  union {
    u64 plain;
    struct {
      int low;
      int high;
    };
  };
  struct sample_entity scx;
  bool ready;
  int (*call)(struct sample_task* t, u64 x);
};

typedef void (*btf_trace_sample_event)(void*, struct sample_task*, unsigned int);
btf_trace_sample_event sample_pointer;
struct sample_queue sample_queue_value;  // a struct that is only pointed to becomes a forward declaration
enum sample_big sample_big_value;
enum sample_signed sample_signed_value;

__attribute__((noinline)) int sample_enqueue(struct sample_task* p, const char* name, u64 flags,
                                             enum sample_flags how) {
  return p->pid + (int)flags + (int)how + name[0];
}
