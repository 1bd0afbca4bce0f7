// What the BPF half and the user half of a scheduler share: fixed-size records, one per map section.
// The includer brings __u64 and friends (linux/types.h, or bpf/scx_compat.bpf.h).
#pragma once

// .rodata.config: written by the user half before the program is loaded.
struct scx_config {
  __u64 fail_after;  // enqueues that go well before the bug shows
  __u64 dsq_id;      // a DSQ to insert into
  __u64 own_pid;     // the scheduler's own process: never made a victim
  __u64
      fault;  // scx_starve: enum starve_fault; scx_slip: enum slip_fault; scx_race: enum race_fault; scx_user_decides: 1 sleeps
  __u64 cpus;     // scx_starve, scx_slip, scx_race: CPUs that it places tasks on
  __u64 hold_ms;  // scx_legacy: how long its loader waits for a CPU once it is enabled
  __u64 seconds;  // for the user half: ends after that time; 0: when it is told to
};

// .bss.stats: counters, updated with atomics by the BPF half.
struct scx_stats {
  __u64 enqueued;
  __u64 dispatched;
  __u64 idle_picks;
};

// .bss.uei: a copy of the kernel's scx_exit_info, made by ops.exit. `kind` is written last and stays 0
// as long as the scheduler is in.
struct scx_exit_record {
  __s32 kind;
  __s32 reserved;
  __s64 exit_code;
  char reason[128];
  char msg[1024];
  char dump[32768];
};
