// The sched_ext dump as a table: where each task was when the scheduler was disabled. Also the dump's exit reason,
// for logs without CrashDetected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

struct DumpTask {
  int cpu = -1;          // run queue that it stood on
  bool current = false;  // was running there
  char state = '?';
  std::string comm;
  int pid = 0;
  int64_t runnable_ms = 0;  // negative: ms before the dump
  std::string dsq;          // "0x8000000000000002", empty: on none
  std::string slice, weight, cpus, ops_state;
};

struct DumpHeader {
  std::string comm;  // who triggered the exit
  int pid = 0;
  uint64_t exit_kind = 0;
  std::string reason;   // "scx_bpf_error"
  std::string message;  // "" when the kernel gave none
};

class DumpTasks {
 public:
  void line(std::string_view text);
  const std::optional<DumpHeader>& header() const { return header_; }
  // In the dump's order; at most kMaxTasks.
  const std::vector<DumpTask>& tasks() const { return tasks_; }
  uint64_t total() const { return total_; }
  const DumpTask* find(int pid) const;

  static constexpr size_t kMaxTasks = 4096;

 private:
  bool task_line(std::string_view text);

  std::optional<DumpHeader> header_;
  bool want_reason_ = false;
  std::vector<DumpTask> tasks_;
  uint64_t total_ = 0;
  int cpu_ = -1;
  bool in_task_ = false;
};

}  // namespace ktstr
