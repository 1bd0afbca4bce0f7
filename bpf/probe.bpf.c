// The probes of the repro VM. A hit is copied into this CPU's ring: raw arguments, then the values that the target's
// plan names. The trigger (the kernel disables the scheduler) stops the recording, so that the rings hold what led
// to the crash. Every program is generic: the attach cookie is the target's index in `targets`.
//
// on_fentry and on_fexit are loaded once against a test function of the kernel; the loader clones their instructions
// for each function of the scheduler. Helpers only, no kfunc: some kernels carry damaged kfunc BTF.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "bpf/probe_abi.h"

char _license[] SEC("license") = "GPL";

// x86-64's saved registers, as kprobes hand them over.
struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp,
      ss;
};

const volatile struct ktstr_config config SEC(".rodata.config") = {1, 1, 0, 0, 0x400, 0};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // cpus * ring_slots + KTSTR_TAIL_HITS, set by the loader
  __type(key, __u32);
  __type(value, struct ktstr_hit);
} hits SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // cpus
  __type(key, __u32);
  __type(value, struct ktstr_head);
} heads SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct ktstr_state);
} state SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, KTSTR_MAX_TARGETS);
  __type(key, __u32);
  __type(value, struct ktstr_target);
} targets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, KTSTR_MAX_TARGETS);
  __type(key, __u32);
  __type(value, struct ktstr_reads);
} reads SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);  // raised by the loader
  __type(key, struct ktstr_subject_key);
  __type(value, struct ktstr_hit);
} subjects SEC(".maps");

// Arguments of kernel functions that wait for their return. Not a hash map: its two calls a hit cost more than the
// rest of a probe, and only few returns are ever looked at.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1 << KTSTR_CALL_BITS);
  __type(key, __u32);
  __type(value, struct ktstr_call);
} calls SEC(".maps");

_Static_assert(sizeof(struct ktstr_hit) == KTSTR_HIT_BYTES, "a hit does not cross a page");

static __always_inline struct ktstr_state* the_state(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&state, &zero);
}

// The task of a call. Every CPU has its own idle task, and all of them have pid 0.
static __always_inline __s32 this_task(void) {
  __s32 pid = (__s32)bpf_get_current_pid_tgid();
  return pid ? pid : -1 - (__s32)bpf_get_smp_processor_id();
}

// A slot to write to, or null: frozen, and not an exit that the crashing task still owes us.
static __always_inline struct ktstr_hit* take_slot(__u32 when) {
  struct ktstr_state* s = the_state();
  __u32 cpu = bpf_get_smp_processor_id();
  __u32 index;

  if (!s) return 0;
  if (*(volatile __u32*)&s->frozen) {
    __s32 pid = (__s32)bpf_get_current_pid_tgid();
    // Until it is complete, `pid` may not be there yet; the crashing task itself comes later.
    if (when != KTSTR_EXIT || !*(volatile __u32*)&s->complete || s->pid != pid || (!pid && s->cpu != cpu))
      return 0;
    __u32 n = __sync_fetch_and_add(&s->tail, 1);
    if (n >= KTSTR_TAIL_HITS) return 0;
    index = config.cpus * config.ring_slots + n;
  } else {
    struct ktstr_head* head = bpf_map_lookup_elem(&heads, &cpu);
    if (!head) return 0;
    __u64 n = __sync_fetch_and_add(&head->taken, 1);
    index = cpu * config.ring_slots + (n & (config.ring_slots - 1));
  }
  return bpf_map_lookup_elem(&hits, &index);
}

static __always_inline struct ktstr_call* call_of(__s32 task, __u32 target) {
  __u32 place = ((__u32)task * KTSTR_CALL_PAGE + target) & ((1u << KTSTR_CALL_BITS) - 1);
  return bpf_map_lookup_elem(&calls, &place);
}

static __always_inline void read_memory(struct ktstr_hit* h, const struct ktstr_read* v, __u32 i) {
  __u32 arg = v->arg;
  __u32 size = v->size;
  __u32 hops = v->hops;
  __u64 p;
  long err = 0;

  if (arg > KTSTR_RETURN) arg = KTSTR_RETURN;
  p = h->raw[arg];
  if (size > KTSTR_READ_BYTES) size = KTSTR_READ_BYTES;
  void* to = h->data + (v->at & (KTSTR_DATA_BYTES - 1));
#pragma unroll
  for (__u32 k = 0; k < KTSTR_MAX_HOPS - 1; ++k) {
    if (k + 1 < hops) err |= bpf_probe_read_kernel(&p, sizeof(p), (void*)(p + v->offsets[k]));
  }
  __u32 last = hops - 1;
  if (last < KTSTR_MAX_HOPS) p += v->offsets[last];
  if (v->string) {
    if (hops) err |= bpf_probe_read_kernel(&p, sizeof(p), (void*)p);
    err |= bpf_probe_read_kernel_str(to, KTSTR_VALUE_BYTES, (void*)p) < 0;
  } else {
    err |= bpf_probe_read_kernel(to, size, (void*)p);
  }
  if (err) h->failed |= 1u << i;
}

struct reading {
  struct ktstr_hit* hit;
  const struct ktstr_reads* reads;
};

// The loader puts the target's reads here as plain loads (bpf/direct_reads.h), and the current task's name. Where the
// kernel refuses that, all is left to helpers. Assembly, so that clang expects nothing of the result.
static __attribute__((noinline)) int direct_reads(struct ktstr_hit* h) {
  asm volatile("" : : "r"(h) : "memory");
  return 0;
}

// One turn of bpf_loop: the verifier looks at it once, not once a read. Each clone is verified anew, while the
// scheduler waits.
static long read_one(__u32 i, struct reading* r) {
  if (i >= KTSTR_MAX_VALUES) return 1;
  if (!(r->hit->left >> i & 1)) return 0;
  read_memory(r->hit, &r->reads->reads[i], i);
  return 0;
}

static __always_inline void begin(struct ktstr_hit* h, __u32 target, __u32 when) {
  h->seal = 0;
  h->left = ~0u;
  h->ns = 0;
  h->target = target;
  h->when = when;
  h->cpu = bpf_get_smp_processor_id();
  h->pid = -1;  // no task's
  h->failed = 0;
  h->caller = 0;
  h->comm[0] = 0;
}

static __always_inline void finish(struct ktstr_hit* h, const struct ktstr_target* t, __u64 now) {
  direct_reads(h);
  if (h->left && t->nreads) {
    __u32 target = h->target;
    struct reading r = {h, bpf_map_lookup_elem(&reads, &target)};
    if (r.reads) bpf_loop(t->nreads, read_one, &r, 0);
  }
  if (h->pid < 0) h->pid = (__s32)bpf_get_current_pid_tgid();
  if (!h->comm[0]) bpf_get_current_comm(h->comm, sizeof(h->comm));
  h->ns = now;
  *(volatile __u64*)&h->seal = ktstr_seal(h);
  if (config.by_subject && t->subject < KTSTR_MAX_ARGS) {
    struct ktstr_subject_key key = {h->raw[t->subject], h->target, h->when};
    bpf_map_update_elem(&subjects, &key, h, BPF_ANY);
  }
  if ((now & 63) == 0) {
    __u32 cpu = h->cpu;
    struct ktstr_head* head = bpf_map_lookup_elem(&heads, &cpu);
    if (!head) return;
    head->timed += 1;
    head->timed_ns += bpf_ktime_get_ns() - now;
  }
}

static __always_inline int kernel_hit(struct pt_regs* regs, __u32 target) {
  __u64 now = bpf_ktime_get_ns();
  struct ktstr_target* t = bpf_map_lookup_elem(&targets, &target);
  struct ktstr_hit* h = t ? take_slot(KTSTR_ENTRY) : 0;

  if (!h) return 0;
  begin(h, target, KTSTR_ENTRY);
  h->raw[0] = regs->di;
  h->raw[1] = regs->si;
  h->raw[2] = regs->dx;
  h->raw[3] = regs->cx;
  h->raw[4] = regs->r8;
  h->raw[5] = regs->r9;
  // At a function's first instruction the stack's top is where it returns to.
  if (t->wants_caller && bpf_probe_read_kernel(&h->caller, sizeof(h->caller), (void*)regs->sp)) h->caller = 0;
  finish(h, t, now);
  if (t->wants_exit) {
    const __s32 task = h->pid ? h->pid : -1 - (__s32)h->cpu;
    struct ktstr_call* call = call_of(task, target);
    if (call) {
      call->pid = task;
      call->target = target;
      __builtin_memcpy(call->raw, h->raw, sizeof(call->raw));
    }
  }
  return 0;
}

// Half of all hits would be returns, and those before the trigger are of use for a history only.
static __always_inline bool wants_return(void) {
  struct ktstr_state* s = the_state();
  return s && (config.all_returns || *(volatile __u32*)&s->frozen);
}

// At the return the registers are gone: the arguments come from the entry. Of a function that calls itself only the
// innermost call is kept, and is still there at the return of the outer one when no return was wanted between: whoever
// reads the hits compares the arguments (reproer/stitch.cc).
static __always_inline int kernel_return(struct pt_regs* regs, __u32 target) {
  if (!wants_return()) return 0;
  __s32 task = this_task();
  struct ktstr_call* call = call_of(task, target);
  struct ktstr_target* t;
  struct ktstr_hit* h;

  if (!call || call->pid != task || call->target != target) return 0;
  call->pid = 0;  // no task, not even an idle one (this_task)
  __u64 now = bpf_ktime_get_ns();
  t = bpf_map_lookup_elem(&targets, &target);
  h = t ? take_slot(KTSTR_EXIT) : 0;
  if (!h) return 0;
  begin(h, target, KTSTR_EXIT);
  __builtin_memcpy(h->raw, call->raw, sizeof(call->raw));
  h->raw[KTSTR_RETURN] = regs->ax;
  finish(h, t, now);
  return 0;
}

SEC("kprobe.multi")
int on_kernel_multi(struct pt_regs* ctx) { return kernel_hit(ctx, bpf_get_attach_cookie(ctx)); }

SEC("kprobe")
int on_kernel_single(struct pt_regs* ctx) { return kernel_hit(ctx, bpf_get_attach_cookie(ctx)); }

SEC("kretprobe.multi")
int on_return_multi(struct pt_regs* ctx) { return kernel_return(ctx, bpf_get_attach_cookie(ctx)); }

SEC("kretprobe")
int on_return_single(struct pt_regs* ctx) { return kernel_return(ctx, bpf_get_attach_cookie(ctx)); }

static __always_inline void read_args(struct ktstr_hit* h, const struct ktstr_target* t, void* ctx) {
  __u64 arg;

  if (t->kind == KTSTR_CALLBACK) {
    // A struct_ops callback gets one argument: where the real ones are.
    if (bpf_get_func_arg(ctx, 0, &arg) || bpf_probe_read_kernel(h->raw, 48, (void*)arg))
      h->failed |= 1u << 31;
    return;
  }
#pragma unroll
  for (int i = 0; i < 6; ++i)
    if (!bpf_get_func_arg(ctx, i, &arg)) h->raw[i] = arg;
}

SEC("fentry/bpf_fentry_test1")
int on_fentry(void* ctx) {
  __u64 now = bpf_ktime_get_ns();
  __u32 target = bpf_get_attach_cookie(ctx);
  struct ktstr_target* t = bpf_map_lookup_elem(&targets, &target);
  struct ktstr_hit* h = t ? take_slot(KTSTR_ENTRY) : 0;

  if (!h) return 0;
  begin(h, target, KTSTR_ENTRY);
  read_args(h, t, ctx);
  finish(h, t, now);
  return 0;
}

SEC("fexit/bpf_fentry_test1")
int on_fexit(void* ctx) {
  __u64 now = bpf_ktime_get_ns();
  __u32 target = bpf_get_attach_cookie(ctx);
  struct ktstr_target* t = wants_return() ? bpf_map_lookup_elem(&targets, &target) : 0;
  struct ktstr_hit* h = t ? take_slot(KTSTR_EXIT) : 0;
  __u64 ret = 0;

  if (!h) return 0;
  begin(h, target, KTSTR_EXIT);
  read_args(h, t, ctx);
  bpf_get_func_ret(ctx, &ret);
  h->raw[KTSTR_RETURN] = ret;
  finish(h, t, now);
  return 0;
}

static const char symbol_format[] SEC(".rodata.format") = "%pS";

static long name_frame(__u32 i, struct ktstr_state** where) {
  struct ktstr_state* s = *where;

  if (i >= KTSTR_STACK_FRAMES) return 1;
  bpf_snprintf(s->symbols[i], KTSTR_SYMBOL, symbol_format, &s->stack[i], sizeof(s->stack[i]));
  return 0;
}

static __always_inline int freeze(void* ctx, struct ktstr_state* s, __u64 kind) {
  if (__sync_val_compare_and_swap(&s->frozen, 0, 1)) return 0;
  s->ns = bpf_ktime_get_ns();
  s->kind = kind;
  s->cpu = bpf_get_smp_processor_id();
  s->pid = (__s32)bpf_get_current_pid_tgid();
  bpf_get_current_comm(s->comm, sizeof(s->comm));
  s->stack_bytes = bpf_get_stack(ctx, s->stack, sizeof(s->stack), 0);
  if (s->stack_bytes > 0) bpf_loop(s->stack_bytes / sizeof(s->stack[0]), name_frame, &s, 0);
  *(volatile __u32*)&s->complete = 1;
  return 0;
}

// The kernel throws the scheduler out, in the task that made it do so. The first one counts.
static __always_inline int trigger(void* ctx, __u64 kind) {
  struct ktstr_state* s = the_state();

  if (!s) return 0;
  if (kind < config.lowest_kind) {
    __sync_fetch_and_add(&s->ignored, 1);
    return 0;
  }
  return freeze(ctx, s, kind);
}

SEC("tp_btf/sched_ext_exit")
int on_exit_event(__u64* ctx) { return trigger(ctx, (__u32)ctx[1]); }

// The cookie is the index of the argument that holds the exit kind.
SEC("kprobe")
int on_exit_function(struct pt_regs* ctx) {
  // Both are read first: a verifier refuses a context pointer that was added to.
  volatile __u64 kinds[2] = {ctx->di, ctx->si};
  return trigger(ctx, (__u32)kinds[bpf_get_attach_cookie(ctx) != 0]);
}

// The kernel itself is in trouble: an oops or a panic begins, in the task that made it.
SEC("kprobe")
int on_fault(struct pt_regs* ctx) {
  struct ktstr_state* s = the_state();
  return s ? freeze(ctx, s, 0) : 0;
}
