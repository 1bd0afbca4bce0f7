// The sched_ext dump as data: the exit, the CPUs, and which task was where when the scheduler was disabled.
//
// Everything that the dump says of a CPU or a task as "key=value" is kept under the kernel's own key. To show
// one more of them takes one row of the table in reporter/section_logs.cc and nothing here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scx/scx_exit_parser.h"

namespace ktstr {

// "nr_run=3 flags=0x1": the pairs of a CPU's or task's lines, in the dump's order, at most kMax of them.
class DumpFields {
 public:
  // All pairs of a line; the rest of it is ignored.
  void take(std::string_view line);
  // "" for a key that the dump did not have, and for a value of "(n/a)".
  std::string_view get(std::string_view key) const;

  static constexpr size_t kMax = 24, kMaxText = 128;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

struct DumpCpu {
  int cpu = -1;
  std::string curr;   // "pipe_7[125]"
  DumpFields fields;  // "nr_run", "flags", "cpu_rel", "class", ...
};

struct DumpTask {
  int cpu = -1;          // run queue that it was on; -1: the CPU's line is cut off
  bool current = false;  // was running there
  char state = '?';
  std::string comm;
  int pid = 0;
  int64_t runnable_ms = 0;  // negative: ms before the dump
  DumpFields fields;        // "ops_state/qseq", "dsq_id", "slice", "weight", "cpus", ...

  std::string_view dsq() const { return fields.get("dsq_id"); }  // "0x8000000000000002", empty: on none
  // Enqueued and given to the scheduler, which has not dispatched it: SCX_OPSS_QUEUED.
  bool held_by_scheduler() const { return dsq().empty() && fields.get("ops_state/qseq").starts_with("2/"); }
};

class ScxDump {
 public:
  void feed(std::string_view line, const DumpContext& context = {});

  std::optional<ScxExit> exit() const { return exit_.result(); }
  const ScxExit* peek_exit() const { return exit_.peek(); }  // until the next line; null: none
  // In the dump's order; at most kMaxCpus and kMaxTasks.
  const std::vector<DumpCpu>& cpus() const { return cpus_; }
  const std::vector<DumpTask>& tasks() const { return tasks_; }
  uint64_t total_tasks() const { return total_; }
  const DumpTask* find(int pid) const;

  static constexpr size_t kMaxCpus = 1024, kMaxTasks = 4096;

 private:
  enum class In { kNothing, kCpu, kTask };
  bool cpu_line(std::string_view text);
  bool task_line(std::string_view text);

  ScxExitParser exit_;
  std::vector<DumpCpu> cpus_;
  std::vector<DumpTask> tasks_;
  uint64_t total_ = 0;
  int cpu_ = -1;  // whose tasks follow
  In in_ = In::kNothing;
};

}  // namespace ktstr
