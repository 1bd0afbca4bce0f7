// `--- scheduler log ---`, `--- sched_ext dump ---`, and the verbose console.
#include <algorithm>

#include "reporter/names.h"
#include "reporter/sections.h"

namespace ktstr {
namespace {

constexpr size_t kTableRows = 12;

std::string since(const DumpTask& task) { return fmt::format("{} ms", task.runnable_ms); }

// The task that the kernel names: the one that was not run, or the one that triggered the exit.
int guilty_pid(const VmRecord& vm) {
  if (vm.crash && vm.crash->stall_task_pid) return vm.crash->stall_task_pid;
  if (vm.crash && vm.crash->task_pid) return vm.crash->task_pid;
  return vm.dump_tasks.header() ? vm.dump_tasks.header()->pid : 0;
}

void tasks_table(const VmRecord& vm, Page& page) {
  if (vm.dump_tasks.tasks().empty()) return;
  std::vector<const DumpTask*> order;
  for (const DumpTask& task : vm.dump_tasks.tasks()) order.push_back(&task);
  const int guilty = guilty_pid(vm);
  // The named task, then those that wait longest.
  std::stable_sort(order.begin(), order.end(), [&](const DumpTask* a, const DumpTask* b) {
    if ((a->pid == guilty) != (b->pid == guilty)) return a->pid == guilty;
    return a->runnable_ms < b->runnable_ms;
  });
  page.linef("tasks on the run queues ({} of {}; * running, > named by the kernel):",
             std::min(order.size(), kTableRows), vm.dump_tasks.total());
  Table table({"", "task", "cpu", "state", "runnable since", "waits in", "slice", "weight", "cpus"});
  for (size_t i = 0; i < order.size() && i < kTableRows; ++i) {
    const DumpTask& t = *order[i];
    table.row({t.pid == guilty ? ">" : "", fmt::format("{}[{}]", t.comm, t.pid), std::to_string(t.cpu),
               fmt::format("{}{}", t.current ? "*" : "", t.state), since(t),
               t.dsq.empty() ? "-" : dsq_name(t.dsq), t.slice, t.weight, t.cpus});
  }
  table.print(page);
  page.linef("the kernel's dump ({} lines):", vm.dump.total());
}

}  // namespace

void scheduler_log_section(const RunModel& model, Page& page) {
  const VmRecord& vm = model.primary();
  if (vm.scheduler_log.empty()) return;
  page.title("scheduler log");
  page.log(vm.scheduler_log.kept());
}

void dump_section(const RunModel& model, Page& page) {
  const VmRecord& vm = model.primary();
  if (vm.dump.empty()) return;
  page.title("sched_ext dump");
  tasks_table(vm, page);
  page.log(vm.dump);
}

void console_section(const RunModel& model, Page& page) {
  const VmRecord& vm = model.primary();
  if (!model.verbose() || vm.console.empty()) return;
  page.title("console");
  page.log(vm.console);
}

}  // namespace ktstr
