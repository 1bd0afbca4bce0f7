// Finds what the kernel says about trouble of its own: warnings, oopses, panics, lockdep's reports, sanitizers, lockups,
// stalls, hung tasks (scx/kernel_fault_heads.h has the first lines), with the task, the CPU, the locks and the call trace
// that follow. Incremental and bounded: the collector reads a live console with it, `explain` a pasted log.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/crash_generated.h"
#include "scx/kernel_fault_heads.h"

namespace ktstr {

// A fault as it was read. `guest_ns`: of its first line; 0: the line had no stamp.
struct ReadFault {
  KernelFaultT fault;
  uint64_t guest_ns = 0;
  uint64_t line = 0;  // number of its first line, from 1, in what was fed
};

class KernelFaultParser {
 public:
  // `text`: a line of the kernel's less its stamp.
  void feed(std::string_view text, uint64_t guest_ns);
  // No line follows, or what follows is another boot: what is open is complete.
  void finish();

  // The next fault that is complete, in the order of their first lines. A panic that follows from a fault is part of it.
  std::optional<ReadFault> take();
  // A fault is being read: the next line may belong to it.
  bool open() const { return open_.has_value(); }
  // The line that was fed last is the first one of the fault that is open.
  bool just_opened() const { return open_ && open_->line == line_; }
  // The line that was fed last belongs to a fault.
  bool took_last() const { return took_; }
  // What is open now, for who cannot wait for its end. Null: nothing is.
  const KernelFaultT* current() const { return open_ ? &open_->fault : nullptr; }
  uint64_t fed() const { return line_; }         // lines, as ReadFault::line counts them
  uint64_t dropped() const { return dropped_; }  // complete, but nobody took the ones before

  static constexpr size_t kMaxWaiting = 64;    // complete ones that were not taken yet
  static constexpr size_t kMaxTasks = 32;      // of a fault
  static constexpr size_t kMaxLines = 4096;    // of a fault
  static constexpr size_t kMaxUnrelated = 40;  // lines in a row that say nothing about it end a fault

 private:
  enum class In { kDetail, kTrace, kTaskTrace, kOver };

  bool take_head(std::string_view text, uint64_t guest_ns);
  bool continues(const FaultHead& head, std::string_view text) const;
  void merge(const FaultHead& head, std::string_view text);
  void open_with(FaultHead head, std::string_view text, uint64_t guest_ns);
  bool take_headless(std::string_view text, uint64_t guest_ns);
  bool take_line(std::string_view text);
  bool take_trace(std::string_view text);
  bool take_detail(std::string_view text);
  bool take_cpu_line(std::string_view text);
  bool take_register(std::string_view text);
  bool take_task_line(std::string_view text);
  bool take_lock_line(std::string_view text);
  bool take_kind_detail(std::string_view text);
  void place(ChainFrameT frame);
  void close(bool interrupted = false);

  std::optional<ReadFault> open_;
  In in_ = In::kDetail;
  bool traced_ = false;        // its own trace is complete
  bool traps_follow_ = false;  // lockdep: the lock line that follows is of the lock being taken, or held
  bool held_follows_ = false;
  bool in_locks_ = false;      // lockdep's list of who holds what
  bool message_told_ = false;  // `message` is the kernel's text, not only its first line
  bool took_ = false;
  size_t unrelated_ = 0;
  size_t lines_of_open_ = 0;
  uint64_t last_ns_ = 0;  // stamp of the last line that belonged to it

  std::string before_;      // the line before: a WARN's text, when `after_cut_` says so
  bool after_cut_ = false;  // "---[ cut here ]---" was seen, and no head since
  size_t since_cut_ = 0;
  uint64_t line_ = 0;
  uint64_t dropped_ = 0;
  std::deque<ReadFault> ready_;
};

// The crash that a fault is, for CrashDetected. nullopt: the kernel goes on, so that it is none (a warning, lockdep, …).
std::optional<CrashKind> crash_kind(FaultKind kind);
// With kind, reason, message, task, CPU and frames. REQUIRES: crash_kind(fault.kind).
CrashDetectedT to_crash(const KernelFaultT& fault);

// Why this fault looks like the emulator's doing; empty when it does not. Under software emulation kernel
// text that is patched while it runs makes a guest oops spontaneously (an int3 that nobody placed, a jump to
// address 0).
std::string emulator_artefact(const KernelFaultT& fault, std::string_view accelerator, bool after_scx_exit);

}  // namespace ktstr
