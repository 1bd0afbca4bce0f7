// `--- scheduler log ---`, `--- sched_ext dump ---`, and the verbose console.
#include <algorithm>

#include "reporter/sections.h"
#include "reporter/wait_place.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr size_t kTableRows = 12;

// A column of the table of tasks. What the dump has as "key=value" needs its title and key here, no more.
struct Column {
  const char* title;
  std::string_view key = {};
  std::string (*text)(const DumpTask&) = nullptr;
};
const Column kColumns[] = {
    {"task", {}, [](const DumpTask& t) { return fmt::format("{}[{}]", t.comm, t.pid); }},
    {"cpu", {}, [](const DumpTask& t) { return std::to_string(t.cpu); }},
    {"state", {}, [](const DumpTask& t) { return fmt::format("{}{}", t.current ? "*" : "", t.state); }},
    {"runnable since", {}, [](const DumpTask& t) { return fmt::format("{} ms", t.runnable_ms); }},
    {"waits in", {}, [](const DumpTask& t) { return t.dsq().empty() ? "-" : dsq_name(t.dsq()); }},
    {"vtime", "dsq_vtime"},
    {"slice", "slice"},
    {"weight", "weight"},
    {"cpus", "cpus"},
};

void tasks_table(const VmRecord& vm, Page& page) {
  const ScxDump& dump = vm.scheduler.words.dump();
  if (dump.tasks().empty()) return;
  std::vector<const DumpTask*> order;
  for (const DumpTask& task : dump.tasks()) order.push_back(&task);
  const int named = named_pid(vm);
  // The named one, then those that wait longest.
  std::stable_sort(order.begin(), order.end(), [&](const DumpTask* a, const DumpTask* b) {
    if ((a->pid == named) != (b->pid == named)) return a->pid == named;
    return a->runnable_ms < b->runnable_ms;
  });
  page.linef("tasks on the run queues ({} of {}; * running, > named by the kernel):",
             std::min(order.size(), kTableRows), dump.total_tasks());
  std::vector<std::string> titles = {""};
  for (const Column& column : kColumns) titles.push_back(column.title);
  Table table(titles);
  for (size_t i = 0; i < order.size() && i < kTableRows; ++i) {
    std::vector<std::string> cells = {order[i]->pid == named ? ">" : ""};
    for (const Column& c : kColumns)
      cells.push_back(c.text ? c.text(*order[i]) : std::string(order[i]->fields.get(c.key)));
    table.row(cells);
  }
  table.print(page);
}

}  // namespace

void scheduler_log_section(const RunModel& model, Page& page) {
  const VmRecord& vm = model.primary();
  if (vm.text.scheduler_log.empty()) return;
  page.title("scheduler log");
  page.log(vm.text.scheduler_log.kept());
}

void dump_section(const RunModel& model, Page& page) {
  const VmRecord& vm = model.primary();
  if (vm.text.dump.empty()) return;
  page.title("sched_ext dump");
  tasks_table(vm, page);
  if (const size_t more = vm.text.scheduler_log.tasks_only_here())
    page.linef(
        "{} more task{} in the scheduler's copy of the dump, under \"scheduler log\" as far as that is "
        "printed, and not here",
        more, more == 1 ? " is" : "s are");
  if (!vm.scheduler.words.dump().tasks().empty())
    page.linef("the kernel's dump ({} lines):", vm.text.dump.total());
  page.log(vm.text.dump);
}

void console_section(const RunModel& model, Page& page) {
  const VmRecord& vm = model.primary();
  if (!model.verbose() || vm.text.console.empty()) return;
  page.title("console");
  page.log(vm.text.console);
}

}  // namespace ktstr
