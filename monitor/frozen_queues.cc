// The tasks of the state at the exit: which task runs, is runnable on which CPU, waits in which DSQ.
#include <algorithm>

#include "base/cpu_list.h"
#include "monitor/freezer.h"
#include "monitor/walkers.h"
#include "schemas/monitor_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr uint32_t kMaxSteps = 1u << 16;  // of one list, cursors and all

}  // namespace

// As ps writes it; in words where ps has no letter (include/linux/sched.h, 6.16 to 7.3: TASK_WAKING, TASK_NEW).
std::string task_state_letter(uint64_t state) {
  constexpr uint64_t kNoload = 0x400, kUninterruptible = 2;
  if (state == 0) return "R";
  if ((state & (kNoload | kUninterruptible)) == (kNoload | kUninterruptible)) return "I";
  constexpr struct {
    uint64_t bit;
    const char* letter;
  } kLetters[] = {{1, "S"},    {2, "D"},    {4, "T"},    {8, "t"},          {0x10, "X"},
                  {0x20, "Z"}, {0x40, "P"}, {0x80, "X"}, {0x200, "waking"}, {0x800, "new"}};
  for (const auto& known : kLetters)
    if (state & known.bit) return known.letter;
  return "?";
}

namespace {

class QueueReader {
 public:
  QueueReader(const GuestKernel& kernel, const FreezeLimits& limits)
      : kernel_(kernel),
        memory_(kernel.memory()),
        l_(kernel.layout()),
        limits_(limits),
        jiffies_(read_jiffies(kernel)) {}

  std::unique_ptr<TaskSeenT> task(uint64_t address, bool waits) const {
    TaskReading r;
    if (!read_task(kernel_, address, r)) return nullptr;
    auto t = std::make_unique<TaskSeenT>();
    t->pid = r.pid;
    t->comm = std::string(r.comm.data(), ::strnlen(r.comm.data(), r.comm.size()));
    t->sched_class = r.sched_class;
    if (const auto state = l_.freeze.task_state.read(memory_, address)) t->state = task_state_letter(*state);
    t->flags = static_cast<uint32_t>(l_.freeze.task_flags.read(memory_, address).value_or(0));
    const auto dsq = l_.task.dsq.read(memory_, address);
    if (dsq && *dsq) t->dsq_id = l_.dsq.id.read(memory_, *dsq).value_or(0);
    t->vtime = l_.task.vtime.read(memory_, address).value_or(0);
    if (const auto mask = l_.task.cpus_allowed.read(memory_, address)) t->cpus = cpus_in(*mask);
    const auto since = l_.task.runnable_at.read(memory_, address);
    if (waits && since && jiffies_) {
      const uint32_t age = static_cast<uint32_t>(jiffies_) - static_cast<uint32_t>(*since);
      if (age < 0x80000000u) t->wait_ns = age * kernel_.tick_ns();
    }
    return t;
  }

  // Of a struct cpumask; empty: not readable.
  std::string cpus_in(uint64_t mask) const {
    std::vector<uint64_t> words((kernel_.cpus() + 63) / 64);
    if (!memory_.read(mask, words.data(), words.size() * sizeof(uint64_t))) return {};
    std::vector<unsigned> cpus;
    for (unsigned cpu = 0; cpu < kernel_.cpus(); ++cpu)
      if ((words[cpu / 64] >> (cpu % 64)) & 1) cpus.push_back(cpu);
    return cpu_list(std::move(cpus));
  }

  // Tasks of a list whose nodes are `node_offset` bytes into them. False: the list makes no sense; `out` keeps
  // the tasks read so far.
  bool tasks(uint64_t head, uint32_t node_offset, bool may_hold_cursors, uint64_t running,
             std::vector<std::unique_ptr<TaskSeenT>>& out, uint32_t& left_out) const {
    const Field& flags = l_.freeze.list_flags;
    uint64_t at = head;
    for (uint32_t i = 0; i < kMaxSteps; ++i) {
      const auto next = memory_.pointer(at);
      if (!next || *next == 0) return false;
      if (*next == head) return true;
      const uint64_t address = *next - node_offset;
      if (const auto back = memory_.pointer(*next + 8); !back || *back != at) return false;  // list_head.prev
      at = *next;
      if (may_hold_cursors && flags) {
        // A cursor of an iteration is not in a task: only the node and its flags are there.
        const uint64_t place = *next - l_.freeze.list_node.offset + flags.offset;
        const auto value = Field{0, flags.size, false}.read(memory_, place);
        if (!value) return false;
        if (*value & l_.freeze.cursor_flag) continue;
      }
      if (out.size() >= limits_.tasks_per_queue) {
        ++left_out;
        continue;
      }
      auto seen = task(address, address != running);
      if (!seen) return false;
      out.push_back(std::move(seen));
    }
    return false;
  }

 private:
  const GuestKernel& kernel_;
  const GuestMemory& memory_;
  const KernelLayout& l_;
  const FreezeLimits& limits_;
  uint64_t jiffies_;
};

// A list that was read in part is named once in `absent`.
void cut(GuestFrozenT& out, const std::string& what) {
  constexpr size_t kMaxSaid = 32;
  if (out.absent.size() < kMaxSaid) out.absent.push_back(what + ": cut where it made no sense");
}

void freeze_cpu(const GuestKernel& kernel, const QueueReader& reader, uint16_t cpu, GuestFrozenT& out) {
  const KernelLayout& l = kernel.layout();
  const GuestMemory& memory = kernel.memory();
  const uint64_t rq = kernel.per_cpu(kernel.places().runqueues, cpu);
  const std::string name = "CPU " + std::to_string(cpu);
  auto c = std::make_unique<FrozenCpuT>();
  c->cpu = cpu;
  c->nr_running = static_cast<uint32_t>(l.rq.nr_running.read(memory, rq).value_or(0));
  c->scx_nr_running = static_cast<uint32_t>(l.rq.scx_nr_running.read(memory, rq).value_or(0));
  c->rq_clock = l.rq.clock.read(memory, rq).value_or(0);
  const uint64_t curr = l.rq.curr.read(memory, rq).value_or(0), idle = l.rq.idle.read(memory, rq).value_or(0);
  c->idle = curr != 0 && curr == idle;
  if (curr != 0) c->curr = reader.task(curr, false);
  if (l.rq.runnable_list && l.task.runnable_node &&
      !reader.tasks(rq + l.rq.runnable_list.offset, l.task.runnable_node.offset, false, curr, c->tasks,
                    c->tasks_left_out))
    cut(out, name + "'s list of runnable tasks");
  out.cpus.push_back(std::move(c));

  // Its local DSQ, when it is not empty. Its id marks it as local; its place is the CPU.
  if (!l.freeze.local_dsq || !l.freeze.dsq_tasks || !l.freeze.list_node) return;
  const uint64_t dsq = rq + l.freeze.local_dsq.offset;
  const auto depth = l.dsq.depth.read(memory, dsq);
  if (!depth || *depth == 0) return;
  auto d = std::make_unique<FrozenDsqT>();
  d->id = kScxDsqLocal;
  d->kind = DsqKind::Global;
  d->place = cpu;
  d->depth = static_cast<uint32_t>(*depth);
  if (!reader.tasks(dsq + l.freeze.dsq_tasks.offset, l.freeze.list_node.offset, true, curr, d->tasks,
                    d->tasks_left_out))
    cut(out, dsq_name(kScxDsqLocal, DsqKind::Global, cpu));
  out.dsqs.push_back(std::move(d));
}

}  // namespace

void freeze_queues(const GuestKernel& kernel, const FreezeLimits& limits, GuestFrozenT& out) {
  const KernelLayout& l = kernel.layout();
  const QueueReader reader(kernel, limits);
  std::vector<uint16_t> online;
  kernel.read_online(online);
  Reading reading;
  for (const uint16_t cpu : online) {
    freeze_cpu(kernel, reader, cpu, out);
    CpuReading place;  // read_dsqs() looks at the bypass DSQs of these
    place.cpu = cpu;
    reading.cpus.push_back(place);
  }
  const auto root = read_scx_root(kernel);
  if (!root || root->address == 0) {
    out.absent.push_back("DSQs: sched_ext's root scheduler is gone");
    return;
  }
  if (!read_dsqs(kernel, *root, reading)) {
    out.absent.push_back("DSQs: the list of them made no sense, it is cut");
  }
  for (const DsqReading& dsq : reading.dsqs) {
    auto d = std::make_unique<FrozenDsqT>();
    d->id = dsq.id;
    d->kind = dsq.kind;
    d->place = dsq.place;
    d->depth = dsq.depth;
    if (l.freeze.dsq_tasks && l.freeze.list_node &&
        !reader.tasks(dsq.address + l.freeze.dsq_tasks.offset, l.freeze.list_node.offset, true, 0, d->tasks,
                      d->tasks_left_out))
      cut(out, dsq_name(dsq.id, dsq.kind, dsq.place));
    out.dsqs.push_back(std::move(d));
  }
}

}  // namespace ktstr
