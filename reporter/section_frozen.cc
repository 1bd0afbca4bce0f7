// The part of `--- monitor ---` that shows the guest's state at the scheduler's exit.
#include <algorithm>

#include "base/text.h"
#include "reporter/sections.h"
#include "reporter/wait_place.h"
#include "schemas/monitor_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr size_t kMaxDsqs = 16, kMaxTasksShown = 6, kMaxMaps = 16, kMaxEntriesShown = 4, kMaxFieldsShown = 16;

std::string task_text(const TaskSeenT& task, int named) {
  std::string text = fmt::format("{}{}[{}]", task.pid == named && named != 0 ? ">" : "", task.comm, task.pid);
  if (!task.state.empty() && task.state != "R") text += " " + task.state;
  if (task.wait_ns) text += " waits " + human_ns(task.wait_ns);
  return text;
}

template <typename Tasks>
std::string tasks_text(const Tasks& tasks, uint64_t left_out, int named) {
  std::string text;
  size_t shown = 0;
  for (const auto& task : tasks) {
    if (shown == kMaxTasksShown && task->pid != named) continue;
    text += (shown++ ? ", " : "") + task_text(*task, named);
  }
  const uint64_t more = tasks.size() - shown + left_out;
  return more ? text + fmt::format(", and {} more", more) : text;
}

std::string queue_name(const FrozenDsqT& dsq) { return dsq_name(dsq.id, dsq.kind, dsq.place); }

void cpus(const GuestFrozenT& f, int named, Page& page) {
  for (const auto& cpu : f.cpus) {
    std::string text = fmt::format("  CPU {}: ", cpu->cpu);
    text += cpu->idle ? "idle" : cpu->curr ? task_text(*cpu->curr, named) + " runs" : "?";
    std::vector<const TaskSeenT*>
        waiting;  // runnable, and on no queue of sched_ext: said here, else with its queue
    for (const auto& task : cpu->tasks)
      if (task->dsq_id == 0 && (!cpu->curr || task->pid != cpu->curr->pid)) waiting.push_back(task.get());
    text += fmt::format(", {} runnable ({} of sched_ext)", cpu->nr_running, cpu->scx_nr_running);
    if (!waiting.empty()) text += "; " + waits_in("") + ": " + tasks_text(waiting, 0, named);
    page.line(text);
  }
}

void dsqs(const GuestFrozenT& f, int named, Page& page) {
  std::string empty;
  size_t shown = 0, more = 0;
  for (const auto& dsq : f.dsqs) {
    if (dsq->depth == 0 && dsq->tasks.empty()) {
      empty += (empty.empty() ? "" : ", ") + queue_name(*dsq);
      if (empty.size() > 200) empty.resize(200);
    } else if (++shown <= kMaxDsqs) {
      page.linef("  {}: {} {}: {}", queue_name(*dsq), dsq->depth, dsq->depth == 1 ? "task" : "tasks",
                 tasks_text(dsq->tasks, dsq->tasks_left_out, named));
    } else {
      ++more;
    }
  }
  if (more) page.linef("  and {} more DSQs that hold tasks", more);
  if (!empty.empty()) page.linef("  empty: {}", empty);
}

bool is_zero(const std::string& value) {
  return value == "0" || value == "false" || value == "\"\"" || value == "0x0";
}

// One line an entry: the fields that are not zero.
std::string entry_text(const FrozenEntryT& entry) {
  std::string text;
  size_t shown = 0, more = entry.fields_left_out;
  for (const auto& field : entry.fields) {
    if (is_zero(field->value)) continue;
    if (shown == kMaxFieldsShown) {
      ++more;
      continue;
    }
    text += (shown++ ? "  " : "") + field->name + " " + field->value;
  }
  if (more) text += fmt::format("  and {} more", more);
  return text;
}

void maps(const GuestFrozenT& f, Page& page) {
  size_t shown = 0, more = 0;
  for (const auto& map : f.maps) {
    if (map->note == "no BTF: bytes") continue;  // strings of the object, mostly
    std::vector<std::string> lines;
    size_t left = map->entries_left_out;
    for (const auto& entry : map->entries) {
      std::string text = entry_text(*entry);
      if (text.empty()) continue;
      if (lines.size() == kMaxEntriesShown) {
        ++left;
        continue;
      }
      lines.push_back(entry->key.empty() ? text : "[" + entry->key + "] " + text);
    }
    if (lines.empty() && map->note.empty()) continue;
    if (++shown > kMaxMaps) {
      ++more;
      continue;
    }
    page.linef("  map {} ({}){}{}", map->name, map->type_name, map->note.empty() ? "" : ": ", map->note);
    for (const std::string& line : lines) page.line("    " + line);
    if (left) page.linef("    and {} more entries", left);
  }
  if (more) page.linef("  and {} more maps", more);
}

}  // namespace

void frozen_part(const VmRecord& vm, Page& page) {
  if (!vm.monitor.frozen) return;
  const GuestFrozenT& f = *vm.monitor.frozen;
  const int named = named_pid(vm);
  page.linef(
      "at the exit ({}){}{}{}:", f.reason, f.held_ns ? ", with the VM paused for " + human_ns(f.held_ns) : "",
      f.note.empty() ? "" : "; " + f.note, f.artifact.empty() ? "" : "; all of it is in " + f.artifact);
  cpus(f, named, page);
  dsqs(f, named, page);
  maps(f, page);
  for (const std::string& what : f.absent) page.linef("  absent: {}", what);
}

}  // namespace ktstr
