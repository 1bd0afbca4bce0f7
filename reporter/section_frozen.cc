// The part of `--- monitor ---` that shows the guest's state at the scheduler's exit, and at a long wait before it.
#include <algorithm>
#include <tuple>

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

// Constants of headers (__SCX_…, __COMPAT_…) are many and the same in every run.
bool of_header(const std::string& name) { return name.starts_with("__"); }

// One line an entry. A value that is zero can be the bug, so zeros are left out only where there are many fields.
std::string entry_text(const FrozenEntryT& entry) {
  const bool few = entry.fields.size() <= kMaxFieldsShown;
  std::vector<const FrozenFieldT*> fields;
  size_t zeros = 0;
  for (const auto& field : entry.fields) {
    if (few || !is_zero(field->value))
      fields.push_back(field.get());
    else
      ++zeros;
  }
  std::stable_partition(fields.begin(), fields.end(), [](const auto* f) { return !of_header(f->name); });
  const size_t shown = std::min(fields.size(), kMaxFieldsShown);
  std::string text;
  for (size_t i = 0; i < shown; ++i) text += (i ? "  " : "") + fields[i]->name + " " + fields[i]->value;
  if (const size_t more = fields.size() - shown + entry.fields_left_out)
    text += fmt::format("  and {} more", more);
  if (zeros) text += fmt::format("{}{} {} 0", text.empty() ? "" : "  and ", zeros, zeros == 1 ? "is" : "are");
  return text;
}

std::string use_text(const FrozenMapT& map) {
  if (map.used < 0) return map.type_name;
  if (map.type_name == "ringbuf")
    return fmt::format("{}, {} of {} bytes unread", map.type_name, map.used, map.max_entries);
  const bool full = map.max_entries && static_cast<uint64_t>(map.used) >= map.max_entries;
  return fmt::format("{}, {}{} of {} entries", map.type_name, full ? "full: " : "", map.used,
                     map.max_entries);
}

// The map of constants says what was configured, the others what has become of it.
bool is_constants(const FrozenMapT& map) { return map.name.find(".rodata") != std::string::npos; }

void maps(const GuestFrozenT& f, int named, Page& page) {
  std::vector<const FrozenMapT*> order;
  for (const auto& map : f.maps) order.push_back(map.get());
  std::stable_sort(order.begin(), order.end(), [&](const FrozenMapT* a, const FrozenMapT* b) {
    auto rank = [&](const FrozenMapT& m) { return is_constants(m) ? 2 : holds_task(m, named) ? 0 : 1; };
    return rank(*a) < rank(*b);
  });
  size_t shown = 0, more = 0;
  for (const FrozenMapT* map : order) {
    if (map->note == "no BTF: bytes" && map->used < 0) continue;  // strings of the object, mostly
    std::vector<const FrozenEntryT*> entries;
    for (const auto& entry : map->entries) entries.push_back(entry.get());
    std::stable_partition(entries.begin(), entries.end(),
                          [&](const FrozenEntryT* e) { return is_about_task(*map, *e, named); });
    std::vector<std::string> lines;
    size_t left = map->entries_left_out;
    for (const FrozenEntryT* entry : entries) {
      const std::string text = entry_text(*entry);
      if (text.empty()) continue;
      if (lines.size() == kMaxEntriesShown) {
        ++left;
        continue;
      }
      const std::string mark = is_about_task(*map, *entry, named) ? ">" : "";
      lines.push_back(mark + (entry->key.empty() ? text : "[" + entry->key + "] " + text));
    }
    if (lines.empty() && map->note.empty() && map->used < 0) continue;
    if (++shown > kMaxMaps) {
      ++more;
      continue;
    }
    page.linef("  map {} ({}){}{}", map->name, use_text(*map), map->note.empty() ? "" : ": ", map->note);
    for (const std::string& line : lines) page.line("    " + line);
    if (left) page.linef("    and {} more entries", left);
  }
  if (more) page.linef("  and {} more maps", more);
}

}  // namespace

bool is_about_task(const FrozenMapT& map, const FrozenEntryT& entry, int pid) {
  if (pid <= 0 || map.type_name.find("array") != std::string::npos) return false;  // its keys are indices
  const std::string number = std::to_string(pid);
  if (entry.key == number || entry.key.ends_with("[" + number + "]")) return true;
  return std::any_of(entry.fields.begin(), entry.fields.end(), [&](const auto& f) {
    return f->value == number && (f->name == "value" || f->name == "pid" || f->name.ends_with(".pid"));
  });
}

bool holds_task(const FrozenMapT& map, int pid) {
  return std::any_of(map.entries.begin(), map.entries.end(),
                     [&](const auto& entry) { return is_about_task(map, *entry, pid); });
}

void frozen_part(const VmRecord& vm, Page& page) {
  const auto print = [&](const GuestFrozenT& f, std::string when, int named, bool with_maps) {
    page.linef("{} ({}){}{}{}:", when, f.reason,
               f.held_ns && !f.observed ? ", with the VM paused for " + human_ns(f.held_ns) : "",
               f.note.empty() ? "" : "; " + f.note,
               f.artifact.empty() ? "" : "; all of it is in " + f.artifact);
    cpus(f, named, page);
    dsqs(f, named, page);
    if (with_maps) maps(f, named, page);
    for (const std::string& what : f.absent) page.linef("  absent: {}", what);
  };
  const auto& [early, late] = std::tie(vm.monitor.early, vm.monitor.frozen);
  const int named = named_pid(vm);
  for (const GuestFrozenT& f : vm.monitor.observed) print(f, "as asked for", named, true);
  if (early) print(*early, "while a task waited", named ? named : early->early_pid, !late);
  if (late) print(*late, "at the exit", named, true);
}

}  // namespace ktstr
