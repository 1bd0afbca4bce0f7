/* What the probe programs (bpf/probe.bpf.c) and their loader (guest/probe) share: fixed-size records, no code.
 * Plain C, so that both compilers read it. Both sides are built together, so records have no version. */
#pragma once

#ifdef __bpf__
typedef __u8 ktstr_u8;
typedef __u16 ktstr_u16;
typedef __u32 ktstr_u32;
typedef __s32 ktstr_s32;
typedef __u64 ktstr_u64;
#else
#include <stdint.h>
typedef uint8_t ktstr_u8;
typedef uint16_t ktstr_u16;
typedef uint32_t ktstr_u32;
typedef int32_t ktstr_s32;
typedef uint64_t ktstr_u64;
#endif

#define KTSTR_MAX_TARGETS 256
#define KTSTR_MAX_VALUES 32 /* per target */
#define KTSTR_MAX_HOPS 6    /* offsets of one read */
#define KTSTR_MAX_ARGS 8
#define KTSTR_RETURN 8 /* index of the return value in ktstr_hit.raw */
#define KTSTR_NO_SUBJECT 255
#define KTSTR_VALUE_BYTES 64 /* of one value, and of a string */
#define KTSTR_READ_BYTES 192 /* of one read, which may hold several values */
#define KTSTR_DATA_BYTES 512 /* every read begins below it; a power of two */
#define KTSTR_STACK_FRAMES 64
#define KTSTR_SYMBOL 96
#define KTSTR_TAIL_HITS 64 /* exits of the crashing task, after the trigger */
#define KTSTR_COMM 16
#define KTSTR_CALL_BITS 14 /* of the table of kernel functions entered and not left yet */
#define KTSTR_CALL_PAGE \
  64 /* calls of one task side by side: each page that a hit touches costs a look-up of its address */
/* A complete hit in the guest's memory can be recognised without the kernel's help: it
 * starts at a multiple of its size and its seal fits. A host reads the rings of a guest that died with them so. */
#define KTSTR_SEAL 0x6b74737472686974ull
#define KTSTR_STATE_SEAL 0x6b74737472656e64ull
#define KTSTR_HIT_BYTES 1024 /* a part of a page */

/* Constant once loaded. */
struct ktstr_config {
  ktstr_u32 ring_slots; /* hits a CPU keeps; a power of two */
  ktstr_u32 cpus;       /* rings */
  ktstr_u32 by_subject; /* keep the last hit of each target about each task */
  ktstr_u32
      all_returns; /* take returns before the trigger, too; else only those of the crashing task after it */
  ktstr_u32 lowest_kind; /* exit kinds from here on are a trigger */
  ktstr_u32 unused;
};

enum ktstr_kind { KTSTR_KPROBE = 0, KTSTR_CALLBACK = 1, KTSTR_SUBPROG = 2 };
enum ktstr_when { KTSTR_ENTRY = 0, KTSTR_EXIT = 1 };

/* Start from raw[arg]; for each offset but the last: p = *(u64 *)(p + offset); read `size` bytes at p + last. A string
 * without offsets is where raw[arg] points to. */
struct ktstr_read {
  ktstr_u8 arg;
  ktstr_u8 hops; /* offsets used; only a string may have none */
  ktstr_u8 size;
  ktstr_u8 string; /* the bytes read are a char *: read the text it points to */
  ktstr_u16 at;    /* place in ktstr_hit.data, below KTSTR_DATA_BYTES */
  ktstr_u16 unused;
  ktstr_u32 offsets[KTSTR_MAX_HOPS];
};

struct ktstr_target {
  ktstr_u32 kind;
  ktstr_u32 nargs;
  ktstr_u32 nreads;
  ktstr_u32 subject;      /* argument that is the task it is about; KTSTR_NO_SUBJECT: none */
  ktstr_u32 wants_exit;   /* KTSTR_KPROBE: its arguments are kept until it returns */
  ktstr_u32 wants_caller; /* KTSTR_KPROBE: the address to which it returns is kept */
};

/* Of one target; apart from it, as most hits do not need them (ktstr_hit.left). */
struct ktstr_reads {
  struct ktstr_read reads[KTSTR_MAX_VALUES];
};

struct ktstr_hit {
  ktstr_u64 seal; /* ktstr_seal() of the rest, written last */
  ktstr_u64 ns;   /* bpf_ktime_get_ns; 0: the slot was never written, or is half written */
  ktstr_u32 target;
  ktstr_u32 when;
  ktstr_u32 cpu;
  ktstr_s32 pid;    /* thread id */
  ktstr_u32 failed; /* bit per read that failed; 31: the arguments */
  ktstr_u32 left;   /* bit per read that is left to the helper (bpf/direct_reads.h) */
  char comm[KTSTR_COMM];
  ktstr_u64 raw[KTSTR_MAX_ARGS + 1];
  ktstr_u8 data[KTSTR_DATA_BYTES + KTSTR_READ_BYTES]; /* the slack keeps a masked offset in bounds */
  ktstr_u64 caller; /* where it returns to; 0: not asked for, or not readable */
  ktstr_u8 spare[KTSTR_HIT_BYTES - 840];
};

#ifdef __bpf__
static __inline __attribute__((always_inline))
#else
static inline
#endif
ktstr_u64
ktstr_seal(const struct ktstr_hit *h) {
  return KTSTR_SEAL ^ h->ns ^ ((ktstr_u64)h->target << 40) ^ ((ktstr_u64)h->cpu << 8) ^ h->when;
}

/* A call of a kernel function that has not returned yet. Two calls that fall on one place leave the later one. */
struct ktstr_call {
  ktstr_s32 pid; /* 0: none; CPU n's idle task is -1 - n */
  ktstr_u32 target;
  ktstr_u64 raw[6];
};

/* The last hit of a target about one task, kept when the plan asks for it (stalls). */
struct ktstr_subject_key {
  ktstr_u64 task;
  ktstr_u32 target;
  ktstr_u32 when;
};

/* One element, shared by mmap. */
struct ktstr_state {
  ktstr_u64 seal;     /* KTSTR_STATE_SEAL */
  ktstr_u32 frozen;   /* the trigger fired: nothing but the tail is written any more */
  ktstr_u32 complete; /* the fields below are whole */
  ktstr_u64 ns;
  ktstr_u64 kind;
  ktstr_u32 cpu;
  ktstr_s32 pid;
  char comm[KTSTR_COMM];
  ktstr_s32 stack_bytes; /* negative: errno */
  ktstr_u32 tail;        /* tail hits taken (may exceed KTSTR_TAIL_HITS) */
  ktstr_u64 ignored;     /* exits of an orderly kind (below config.lowest_kind) */
  /* All above is in one page; what follows need not. */
  ktstr_u64 stack[KTSTR_STACK_FRAMES];
  char symbols[KTSTR_STACK_FRAMES][KTSTR_SYMBOL]; /* "NAME+0x1f/0x40" of each; the kernel knows best */
};

/* Per CPU, its own cache line. One hit in 64, by its time, is timed itself: the kernel's own statistics of BPF programs
 * cost more than the probe. */
struct ktstr_head {
  ktstr_u64 taken;
  ktstr_u64 timed;    /* hits */
  ktstr_u64 timed_ns; /* what they took */
  ktstr_u64 unused[5];
};
