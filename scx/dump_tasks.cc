#include "scx/dump_tasks.h"

#include <charconv>

#include "base/text.h"

namespace ktstr {
namespace {

constexpr size_t kMaxText = 256;

template <typename T>
bool number(std::string_view text, T& out) {
  auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), out);
  return err == std::errc() && end != text.data();
}

// The value of "NAME=value" in a line of such pairs.
std::string value_of(std::string_view text, std::string_view name) {
  size_t at = text.find(name);
  if (at == text.npos) return {};
  std::string_view rest = text.substr(at + name.size());
  return std::string(rest.substr(0, rest.find(' ')).substr(0, kMaxText));
}

// "init[218]": the pid stands in the last brackets, for a comm may hold brackets of its own.
bool comm_and_pid(std::string_view text, std::string& comm, int& pid) {
  size_t open = text.rfind('[');
  if (open == text.npos || !text.ends_with("]") || !number(text.substr(open + 1), pid)) return false;
  comm = std::string(text.substr(0, open).substr(0, kMaxText));
  return true;
}

}  // namespace

void DumpTasks::line(std::string_view text) {
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (want_reason_) {  // "  scx_bpf_error (no such cell)"
    want_reason_ = false;
    std::string_view t = trim(text);
    size_t open = t.find(" (");
    header_->reason = std::string(t.substr(0, open).substr(0, kMaxText));
    if (open != t.npos && t.ends_with(")"))
      header_->message = std::string(t.substr(open + 2, t.size() - open - 3).substr(0, 1024));
    return;
  }
  constexpr std::string_view kTriggered = " triggered exit kind ";
  if (!header_) {
    size_t at = text.find(kTriggered);
    DumpHeader header;
    if (at != text.npos && comm_and_pid(trim(text.substr(0, at)), header.comm, header.pid) &&
        number(text.substr(at + kTriggered.size()), header.exit_kind)) {
      header_ = header;
      want_reason_ = true;
      return;
    }
  }
  if (text.starts_with("CPU ") && text.find(": nr_run=") != text.npos) {
    number(text.substr(4), cpu_);
    in_task_ = false;
    return;
  }
  if (task_line(text)) return;
  if (!in_task_ || tasks_.empty()) return;
  std::string_view t = trim(text);
  if (t.empty()) {
    in_task_ = false;
    return;
  }
  DumpTask& task = tasks_.back();
  if (t.starts_with("scx_state/flags=")) task.ops_state = value_of(t, "ops_state/qseq=");
  if (std::string dsq = value_of(t, "dsq_id="); !dsq.empty() && dsq != "(n/a)") task.dsq = dsq;
  if (std::string slice = value_of(t, " slice="); !slice.empty()) task.slice = slice;
  if (std::string weight = value_of(t, "weight="); !weight.empty()) task.weight = weight;
  if (t.starts_with("cpus=")) task.cpus = value_of(t, "cpus=");
}

// " *R init[214] -76ms"; a comm may hold brackets of its own.
bool DumpTasks::task_line(std::string_view text) {
  if (cpu_ < 0 || !text.starts_with(" ") || !text.ends_with("ms")) return false;
  std::string_view t = trim(text);
  DumpTask task{.cpu = cpu_};
  if (t.starts_with("*")) {
    task.current = true;
    t.remove_prefix(1);
  }
  if (t.size() < 6 || t[1] != ' ') return false;
  task.state = t[0];
  t = t.substr(2);
  size_t space = t.rfind(' ');
  if (space == t.npos) return false;
  std::string_view ago = t.substr(space + 1);
  if (ago.starts_with("+")) ago.remove_prefix(1);
  // From 7.3 on the task's scheduler stands between: "pipe_7[125] *root -2964ms".
  size_t close = 0;
  std::string_view who;
  do {
    close = t.find("] ", close + 1);
    if (close == t.npos) return false;
    who = t.substr(0, close + 1);
  } while (!comm_and_pid(who, task.comm, task.pid));
  if (!number(ago, task.runnable_ms)) return false;
  ++total_;
  in_task_ = tasks_.size() < kMaxTasks;
  if (in_task_) tasks_.push_back(std::move(task));
  return true;
}

const DumpTask* DumpTasks::find(int pid) const {
  for (const DumpTask& task : tasks_)
    if (task.pid == pid) return &task;
  return nullptr;
}

}  // namespace ktstr
