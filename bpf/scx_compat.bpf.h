// What a sched_ext BPF program needs from the kernel, without a vmlinux.h.
//
// Types carry only the members that we read; CO-RE relocates them against the BTF of the kernel that
// loads the program. struct sched_ext_ops is matched member by member by libbpf, so its order and
// completeness do not matter. Kfuncs are weak: one that a kernel lacks, or has with other parameters,
// resolves to nothing, and the scx_compat_*() wrappers pick one that is there.
//
// Proved to load on every series from 6.16 to 7.3.
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef _Bool bool;
enum { false, true };

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define SCX_CORE __attribute__((preserve_access_index))

// Stable kernel ABI values (enum scx_dsq_id_flags, scx_exit_kind, bpf_map_type, task flags).
#define SCX_DSQ_LOCAL 0x8000000000000002ULL
#define SCX_DSQ_GLOBAL 0x8000000000000001ULL
#define SCX_DSQ_LOCAL_ON 0xc000000000000000ULL
#define SCX_SLICE_DFL 20000000ULL
#define SCX_SLICE_INF (~0ULL)
#define SCX_MAP_TYPE_HASH 1
#define SCX_MAP_TYPE_ARRAY 2
#define SCX_MAP_TYPE_QUEUE 22
#define SCX_PF_KTHREAD 0x00200000

struct sched_ext_entity {
  __u64 slice;
  __u64 dsq_vtime;
  __u32 weight;
} SCX_CORE;

struct cpumask;

struct task_struct {
  __u32 flags;
  __s32 pid;
  __s32 tgid;
  char comm[16];
  const struct cpumask* cpus_ptr;
  struct sched_ext_entity scx;
} SCX_CORE;

// CO-RE takes no int for an enum: the name has to be the kernel's.
enum scx_exit_kind { SCX_EXIT_NONE = 0 };

struct scx_exit_info {
  enum scx_exit_kind kind;
  __s64 exit_code;
  const char* reason;
  char* msg;
  char* dump;
} SCX_CORE;

struct scx_dump_ctx;
struct scx_init_task_args {
  bool fork;
} SCX_CORE;

struct scx_exit_task_args;

struct sched_ext_ops {
  __s32 (*select_cpu)(struct task_struct*, __s32, __u64);
  void (*enqueue)(struct task_struct*, __u64);
  void (*dispatch)(__s32, struct task_struct*);
  void (*running)(struct task_struct*);
  void (*stopping)(struct task_struct*, bool);
  __s32 (*init_task)(struct task_struct*, struct scx_init_task_args*);
  void (*enable)(struct task_struct*);
  void (*exit_task)(struct task_struct*, struct scx_exit_task_args*);
  void (*dump)(struct scx_dump_ctx*);
  void (*dump_task)(struct scx_dump_ctx*, struct task_struct*);
  __s32 (*init)(void);
  void (*exit)(struct scx_exit_info*);
  __u32 dispatch_max_batch;
  __u64 flags;
  __u32 timeout_ms;
  __u32 exit_dump_len;
  char name[128];
};

void scx_bpf_error_bstr(char* fmt, unsigned long long* data, __u32 data__sz) __ksym __weak;
void scx_bpf_exit_bstr(__s64 exit_code, char* fmt, unsigned long long* data, __u32 data__sz) __ksym __weak;
void scx_bpf_dump_bstr(char* fmt, unsigned long long* data, __u32 data__sz) __ksym __weak;
__s32 scx_bpf_create_dsq(__u64 dsq_id, __s32 node) __ksym __weak;
__s32 scx_bpf_select_cpu_dfl(struct task_struct* p, __s32 prev_cpu, __u64 wake_flags,
                             bool* is_idle) __ksym __weak;
void scx_bpf_dsq_insert(struct task_struct* p, __u64 dsq_id, __u64 slice, __u64 enq_flags) __ksym __weak;
bool scx_bpf_dsq_insert___v2___compat(struct task_struct* p, __u64 dsq_id, __u64 slice,
                                      __u64 enq_flags) __ksym __weak;
bool scx_bpf_dsq_move_to_local(__u64 dsq_id) __ksym __weak;
bool scx_bpf_dsq_move_to_local___v2___compat(__u64 dsq_id, __u64 enq_flags) __ksym __weak;
__s32 scx_bpf_pick_idle_cpu(const struct cpumask* allowed, __u64 flags) __ksym __weak;
void scx_bpf_kick_cpu(__s32 cpu, __u64 flags) __ksym __weak;
struct task_struct* bpf_task_from_pid(__s32 pid) __ksym __weak;
void bpf_task_release(struct task_struct* p) __ksym __weak;

// The plain names come first: they are what most schedulers in the field call. The ___v2 kfuncs of 7.x
// serve a kernel that has dropped the plain ones.
static __always_inline void scx_compat_dsq_insert(struct task_struct* p, __u64 dsq_id, __u64 slice,
                                                  __u64 enq_flags) {
  if (bpf_ksym_exists(scx_bpf_dsq_insert))
    scx_bpf_dsq_insert(p, dsq_id, slice, enq_flags);
  else
    scx_bpf_dsq_insert___v2___compat(p, dsq_id, slice, enq_flags);
}

static __always_inline bool scx_compat_dsq_move_to_local(__u64 dsq_id) {
  if (bpf_ksym_exists(scx_bpf_dsq_move_to_local)) return scx_bpf_dsq_move_to_local(dsq_id);
  return scx_bpf_dsq_move_to_local___v2___compat(dsq_id, 0);
}

// Some builds of 7.1 and 7.2 (all of Debian's trixie-backports) carry damaged BTF for a random handful of
// kfuncs: the implicit argument is still in the prototype, and the verifier refuses the call ("cannot find
// function NAME_impl in BTF"). libbpf leaves those weak symbols unresolved. A scheduler should load even so,
// and do the next best thing.
static __always_inline bool scx_compat_has_dsqs(void) { return bpf_ksym_exists(scx_bpf_create_dsq); }

// Wakes an idle CPU that the task may run on, to look for work.
static __always_inline void scx_compat_kick_idle(struct task_struct* p) {
  if (!bpf_ksym_exists(scx_bpf_pick_idle_cpu) || !bpf_ksym_exists(scx_bpf_kick_cpu)) return;
  __s32 cpu = scx_bpf_pick_idle_cpu(p->cpus_ptr, 0);
  if (cpu >= 0) scx_bpf_kick_cpu(cpu, 0);
}

static __always_inline __s32 scx_compat_select_cpu_dfl(struct task_struct* p, __s32 prev_cpu,
                                                       __u64 wake_flags, bool* is_idle) {
  if (bpf_ksym_exists(scx_bpf_select_cpu_dfl))
    return scx_bpf_select_cpu_dfl(p, prev_cpu, wake_flags, is_idle);
  return prev_cpu;
}

// Formats like printf, with at most 12 arguments of 64 bits or less each. These are macros all the way down,
// so that the line info of the call is the caller's line and not one of this header.
#define SCX_BSTR_ARGS(args...)                                                          \
  unsigned long long scx_args[___bpf_narg(args) ?: 1] = {};                             \
  _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wint-conversion\"") \
      ___bpf_fill(scx_args, args);                                                      \
  _Pragma("GCC diagnostic pop")

#define scx_compat_error(fmt, args...)                           \
  ({                                                             \
    static char scx_fmt[] = fmt;                                 \
    SCX_BSTR_ARGS(args)                                          \
    if (bpf_ksym_exists(scx_bpf_error_bstr))                     \
      scx_bpf_error_bstr(scx_fmt, scx_args, sizeof(scx_args));   \
    else if (bpf_ksym_exists(scx_bpf_exit_bstr))                 \
      scx_bpf_exit_bstr(0, scx_fmt, scx_args, sizeof(scx_args)); \
  })

#define scx_compat_dump(fmt, args...)                                                               \
  ({                                                                                                \
    static char scx_fmt[] = fmt;                                                                    \
    SCX_BSTR_ARGS(args)                                                                             \
    if (bpf_ksym_exists(scx_bpf_dump_bstr)) scx_bpf_dump_bstr(scx_fmt, scx_args, sizeof(scx_args)); \
  })
