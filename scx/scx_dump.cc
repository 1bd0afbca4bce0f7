// The grammar, after the exit (scx_exit_parser.h). Blank lines end a CPU's and a task's fields: what follows is
// a scheduler's own (ops.dump_cpu, ops.dump_task) or a stack. scx_dump_test.cc reads real dumps.
//
//   CPU 2   : nr_run=3 flags=0x1 cpu_rel=0 ksync=499
//             curr=pipe_7b[127] class=ext_sched_class
//
//    *R pipe_7b[127] *root +0ms
//         scx_state/flags=4/0xd dsq_flags=0x0 ops_state/qseq=0/0
//         sticky/holding_cpu=-1/-1 dsq_id=(n/a)
#include "scx/scx_dump.h"

#include "base/numbers.h"
#include "base/text.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

constexpr size_t kMaxComm = 256;
constexpr std::string_view kCurr = "curr=";

}  // namespace

void DumpFields::take(std::string_view line) {
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0 || pairs_.size() >= kMax) continue;
    pairs_.emplace_back(word.substr(0, std::min(equals, kMaxText)),
                        word.substr(equals + 1).substr(0, kMaxText));
  }
}

std::string_view DumpFields::get(std::string_view key) const {
  for (const auto& [name, value] : pairs_)
    if (name == key) return value == "(n/a)" ? std::string_view() : value;
  return {};
}

void ScxDump::feed(std::string_view line, const DumpContext& context) {
  exit_.feed(line, context);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (cpu_line(line) || task_line(line)) return;
  const std::string_view text = trim(line);
  if (text.empty()) in_ = In::kNothing;
  if (in_ == In::kTask) tasks_.back().fields.take(text);
  if (in_ != In::kCpu) return;
  // "curr=COMM[PID] class=...": the comm may hold blanks.
  const size_t close = text.find("] ");
  if (text.starts_with(kCurr) && close != std::string_view::npos) {
    cpus_.back().curr = text.substr(kCurr.size(), std::min(close + 1 - kCurr.size(), kMaxComm));
    cpus_.back().fields.take(text.substr(close + 2));
  } else {
    cpus_.back().fields.take(text);
  }
}

bool ScxDump::cpu_line(std::string_view text) {
  text = trim(text);
  if (!text.starts_with("CPU ")) return false;
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(": nr_run=") != colon) return false;
  const auto cpu = parse_number<int>(trim(text.substr(4, colon - 4)));
  if (cpu) cpu_ = *cpu;
  in_ = cpu && cpus_.size() < kMaxCpus ? In::kCpu : In::kNothing;
  if (in_ != In::kCpu) return true;
  cpus_.emplace_back().cpu = cpu_;
  cpus_.back().fields.take(trim(text.substr(colon + 1)));
  return true;
}

// " *R init[214] -76ms"; a comm may hold brackets of its own. From 7.3 on the task's scheduler is between:
// " *R pipe_7[125] *root -2964ms".
bool ScxDump::task_line(std::string_view text) {
  std::string_view t = trim(text);
  if (!t.ends_with("ms")) return false;
  const bool current = t.starts_with("*");
  if (current) t.remove_prefix(1);
  // The letters of task_state_to_char(). The CPU's line above may be cut off, and the indentation lost.
  if (t.size() < 6 || t[1] != ' ' || std::string_view("RSDTtXZPIWNK").find(t[0]) == std::string_view::npos)
    return false;
  DumpTask task;
  task.cpu = cpu_;
  task.current = current;
  task.state = t[0];
  t = t.substr(2);
  const size_t space = t.rfind(' ');
  if (space == std::string_view::npos) return false;
  std::string_view ago = t.substr(space + 1);
  ago.remove_suffix(2);
  if (ago.starts_with("+")) ago.remove_prefix(1);
  const auto ms = parse_number<int64_t>(ago);
  std::optional<TaskName> who;
  for (size_t close = t.find("] "); !who && close != std::string_view::npos; close = t.find("] ", close + 1))
    who = parse_task_name(t.substr(0, close + 1));
  if (!who || !ms) return false;
  task.comm = who->comm.substr(0, kMaxComm);
  task.pid = who->pid;
  task.runnable_ms = *ms;
  ++total_;
  in_ = tasks_.size() < kMaxTasks ? In::kTask : In::kNothing;
  if (in_ == In::kTask) tasks_.push_back(std::move(task));
  return true;
}

const DumpTask* ScxDump::find(int pid) const {
  for (const DumpTask& task : tasks_)
    if (task.pid == pid) return &task;
  return nullptr;
}

}  // namespace ktstr
