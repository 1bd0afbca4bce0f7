#include "monitor/frozen_threads.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "monitor/freezer.h"
#include "monitor/kallsyms.h"
#include "monitor/walkers.h"

namespace ktstr {
namespace {

constexpr uint32_t kMaxProcesses = 1u << 16;
constexpr uint32_t kMaxThreads = 32;
constexpr uint32_t kMaxListSteps = 4096;  // of one process's list of threads
constexpr size_t kMaxFrames = 24;
constexpr uint64_t kStackBytes = 16384;  // THREAD_SIZE

// struct pt_regs of x86-64, in words.
constexpr size_t kRegs = 21, kOrigAx = 15, kIp = 16, kCs = 17;
constexpr uint64_t kUserCs = 0x33;
constexpr uint64_t kGroupExit = 0x4;  // SIGNAL_GROUP_EXIT in signal_struct.flags

class ThreadReader {
 public:
  ThreadReader(const GuestKernel& kernel, uint64_t now_ns)
      : kernel_(kernel), memory_(kernel.memory()), l_(kernel.layout().threads), now_ns_(now_ns) {}

  std::vector<ThreadCapture> run(int pid) {
    const GuestPlaces& at = kernel_.places();
    if (!at.init_task || !l_.tasks || !l_.tgid || !l_.signal || !l_.thread_head || !l_.thread_node) return {};
    const uint64_t head = at.init_task + l_.tasks.offset;
    auto node = memory_.pointer(head);
    for (uint32_t i = 0; i < kMaxProcesses && node && *node && *node != head;
         ++i, node = memory_.pointer(*node)) {
      const uint64_t leader = *node - l_.tasks.offset;
      if (number(l_.tgid, leader) == pid || parent(leader) == pid) threads(leader);
      if (out_.size() >= kMaxThreads) break;
    }
    std::sort(out_.begin(), out_.end(), [](const auto& a, const auto& b) { return a.fact.pid < b.fact.pid; });
    return std::move(out_);
  }

 private:
  int number(const Field& field, uint64_t task) const {
    return static_cast<int>(field.read(memory_, task).value_or(0));
  }
  int parent(uint64_t task) const {
    const auto parent = l_.parent ? memory_.pointer(task + l_.parent.offset) : std::nullopt;
    return parent && *parent ? number(l_.tgid, *parent) : 0;
  }

  void threads(uint64_t leader) {
    const auto signal = memory_.pointer(leader + l_.signal.offset);
    if (!signal || !*signal) return;
    const uint64_t head = *signal + l_.thread_head.offset;
    auto node = memory_.pointer(head);
    for (uint32_t i = 0; i < kMaxListSteps && node && *node && *node != head && out_.size() < kMaxThreads;
         ++i, node = memory_.pointer(*node))
      thread(*node - l_.thread_node.offset);
  }

  void thread(uint64_t task) {
    TaskReading r;
    if (!read_task(kernel_, task, r)) return;
    ThreadCapture t;
    t.fact.pid = r.pid;
    t.fact.tgid = number(l_.tgid, task);
    t.fact.comm = std::string(r.comm.data(), ::strnlen(r.comm.data(), r.comm.size()));
    t.fact.sched_class = r.sched_class;
    if (const auto state = kernel_.layout().freeze.task_state.read(memory_, task))
      t.fact.state = task_state_letter(*state);
    if (const auto signal = memory_.pointer(task + l_.signal.offset); signal && *signal) {
      t.fact.ending = (l_.exit_flags.read(memory_, *signal).value_or(0) & kGroupExit) != 0;
      if (t.fact.ending) t.fact.wait_status = number(l_.exit_status, *signal);
    }
    const bool on_cpu = l_.on_cpu && number(l_.on_cpu, task) != 0;
    const auto ran = l_.exec_start.read(memory_, task);
    if (!on_cpu && ran && *ran && *ran < now_ns_) t.fact.ran_ago_ns = now_ns_ - *ran;
    const auto stack = l_.stack ? memory_.pointer(task + l_.stack.offset) : std::nullopt;
    const auto sp = l_.saved_sp.read(memory_, task);
    if (!on_cpu && stack && sp && *stack && *sp >= *stack && *sp < *stack + kStackBytes)
      read_stack(*stack, *sp, t);
    out_.push_back(std::move(t));
  }

  void read_stack(uint64_t stack, uint64_t sp, ThreadCapture& t) const {
    const GuestPlaces& at = kernel_.places();
    std::vector<uint64_t> words((stack + kStackBytes - sp) / 8);
    if (!memory_.read(sp, words.data(), words.size() * 8)) return;
    // Of a kernel with FRED, 16 bytes are left free above the registers.
    for (const size_t padding : {size_t{0}, size_t{2}}) {
      if (words.size() < kRegs + padding) break;
      const uint64_t* regs = words.data() + words.size() - kRegs - padding;
      if ((regs[kCs] & 0xffff) != kUserCs) continue;
      t.fact.user_ip = regs[kIp];
      if (regs[kOrigAx] < 1024) t.fact.syscall = static_cast<int64_t>(regs[kOrigAx]);
      words.resize(words.size() - kRegs - padding);
      break;
    }
    for (const uint64_t word : words)
      if (word > at.text_begin && word < at.text_end && after_call(word) &&
          t.addresses.size() < 3 * kMaxFrames)
        t.addresses.push_back(word);
  }

  // A call ends there: e8 and four bytes, or ff with a register or memory operand.
  bool after_call(uint64_t address) const {
    uint8_t b[7] = {};
    if (!memory_.read(address - sizeof b, b, sizeof b)) return false;
    return b[2] == 0xe8 || (b[5] == 0xff && (b[6] & 0x38) == 0x10) ||
           (b[4] == 0xff && (b[5] & 0x38) == 0x10) || (b[1] == 0xff && (b[2] & 0x38) == 0x10);
  }

  const GuestKernel& kernel_;
  const GuestMemory& memory_;
  const ThreadLayout& l_;
  uint64_t now_ns_;
  std::vector<ThreadCapture> out_;
};

}  // namespace

std::vector<ThreadCapture> capture_threads(const GuestKernel& kernel, int pid, uint64_t now_ns) {
  return pid > 0 ? ThreadReader(kernel, now_ns).run(pid) : std::vector<ThreadCapture>{};
}

std::vector<std::unique_ptr<FrozenThreadT>> name_threads(const GuestKernel& kernel,
                                                         std::vector<ThreadCapture> threads) {
  std::vector<uint64_t> addresses;
  for (const ThreadCapture& t : threads)
    addresses.insert(addresses.end(), t.addresses.begin(), t.addresses.end());
  std::map<uint64_t, std::string> names;
  if (const auto tables = KallsymsTables::from(kernel.info()); tables && !addresses.empty())
    names = name_addresses(kernel.memory(), *tables, kernel.layout().threads.relative_symbols,
                           std::move(addresses));
  const GuestPlaces& at = kernel.places();
  auto sleeps_in = [&](uint64_t a) { return a >= at.sched_text_begin && a < at.sched_text_end; };
  std::vector<std::unique_ptr<FrozenThreadT>> out;
  for (ThreadCapture& t : threads) {
    bool scheduled = false;
    for (const uint64_t address : t.addresses) {
      const auto name = names.find(address);
      if (name == names.end() || t.fact.stack.size() == kMaxFrames) continue;
      t.fact.stack.push_back(name->second);
      const bool inside = sleeps_in(address);
      // Behind schedule() and its like: the function that went to sleep.
      if (scheduled && !inside && t.fact.wait_channel.empty())
        t.fact.wait_channel = name->second.substr(0, name->second.find('+'));
      scheduled = scheduled || (inside && name->second.starts_with("schedule"));
    }
    out.push_back(std::make_unique<FrozenThreadT>(std::move(t.fact)));
  }
  return out;
}

}  // namespace ktstr
