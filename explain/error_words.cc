#include "explain/error_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/numbers.h"
#include "base/text.h"
#include "explain/explanation_parts.h"
#include "scx/crash_frames.h"
#include "scx/named_callback.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

// "COMM[PID]" at the end of what stands before `mark`, after `lead`.
std::string task_between(std::string_view message, std::string_view lead, std::string_view mark) {
  const size_t begin = message.find(lead);
  if (begin == message.npos) return {};
  const std::string_view rest = message.substr(begin + lead.size());
  const size_t end = mark.empty() ? rest.size() : rest.find(mark);
  const auto task = parse_task_name(rest.substr(0, end));
  return task ? std::string(task->comm) : std::string(rest.substr(0, end));
}

// A message of sched_ext: what it means beyond its words, and what usually mends it. Messages of 6.12 to 7.3, with the part
// that all of these kernels have; the first row that fits counts. error_words_test.cc has each message in full.
struct KernelMessage {
  std::string_view words, meaning, advice;
};
constexpr std::string_view kTestCpu =
    "before a task goes into a CPU's local DSQ, test that CPU in its cpus_ptr (bpf_cpumask_test_cpu())";
constexpr std::string_view kCreateDsq =
    "create the DSQ (scx_bpf_create_dsq()) in ops.init before a task goes there, and test the id";
constexpr std::string_view kOneOrder =
    "use either scx_bpf_dsq_insert() or scx_bpf_dsq_insert_vtime() on one DSQ, never both";
constexpr std::string_view kDisallow =
    "set p->scx.disallow in ops.init_task only where args->fork is false, and in the root scheduler only";
constexpr std::string_view kLockup =
    "look for a loop without a bound, a lock that is held too long, or a DSQ of thousands of tasks that a "
    "callback walks; "
    "the kernel's own log has the CPU's stack";
constexpr KernelMessage kMessages[] = {
    {"not allowed for reenq", "", "scx_bpf_dsq_reenq() takes the scheduler's own DSQs and local ones"},
    {" not allowed for ", "", kTestCpu},
    {"cannot move migration disabled", "",
     "leave a task whose migration is disabled on its CPU (is_migration_disabled())"},
    {"already direct-dispatched", "",
     "insert a task once for each ops.select_cpu and ops.enqueue: return after the first insert"},
    {"but trying to direct-dispatch", "",
     "ops.select_cpu and ops.enqueue may insert only the task that they were called for: insert others from "
     "ops.dispatch, or with scx_bpf_dsq_move()"},
    {"enqueued tasks", "", kOneOrder},
    {"cannot use vtime ordering", "", "built-in DSQs are FIFO: insert into one of your own with a vtime"},
    {"peek on non-existent DSQ", "", kCreateDsq},
    {"peek disallowed on builtin DSQ", "", "scx_bpf_dsq_peek() is for the scheduler's own DSQs"},
    {"non-existent DSQ", "", kCreateDsq},
    {"invalid DSQ ID", "", kCreateDsq},
    {"dispatch to a destroyed dsq",
     "a task was inserted into a DSQ that scx_bpf_destroy_dsq() had taken away",
     "stop inserting into a DSQ before it is destroyed"},
    {"attempting to destroy in-use dsq", "scx_bpf_destroy_dsq() of a DSQ that still holds tasks",
     "move its tasks elsewhere before it is destroyed"},
    {"dispatch buffer overflow", "one call of ops.dispatch inserted more than ops.dispatch_max_batch tasks",
     "dispatch at most ops.dispatch_max_batch tasks in one call (scx_bpf_dispatch_nr_slots())"},
    {"dispatch buffer underflow", "scx_bpf_dispatch_cancel() without an insert in the same ops.dispatch",
     "cancel only what the same call of ops.dispatch inserted"},
    {"invalid CPU ", "",
     "test a CPU number against scx_bpf_nr_cpu_ids(), and -1 of the pick functions, before it is used"},
    {"Invalid target CPU", "",
     "test a CPU number against scx_bpf_nr_cpu_ids(), and -1 of the pick functions, before it is used"},
    {"invalid cid ", "",
     "test a cid against scx_bpf_nr_cids(), and -1 of the pick functions, before it is used"},
    {"Invalid cpuperf target", "", "scx_bpf_cpuperf_set() takes 0 to SCX_CPUPERF_ONE (1024)"},
    {"invalid node ", "", "test a node's number before it is used (NUMA_NO_NODE is -1)"},
    {"unavailable node ", "", "test a node's number before it is used: this machine does not have it"},
    {"called on a task not being operated on", "",
     "call it on the task that the callback was given, or on one that it holds"},
    {"select_cpu kfunc called cross-task",
     "a kfunc that picks a CPU was called for a task of another callback",
     "pick a CPU for the task that the callback was given only"},
    {"called with NULL task", "a kfunc got a NULL pointer as its task",
     "test the task for NULL before the call"},
    {"kfunc with mask", "", "move the call to a callback that may make it"},
    {"dispatch kfunc called from a nested operation",
     "a kfunc of ops.dispatch was called while another callback ran inside of it",
     "call it from ops.dispatch itself, not from a callback that the kernel calls meanwhile"},
    {"cpu_release kfunc called from a nested operation",
     "a kfunc of ops.cpu_release was called while another callback ran inside of it",
     "call it from ops.cpu_release itself"},
    {"invalid nesting current->scx.kf_mask",
     "a callback ran inside another one that the kernel does not expect", ""},
    {"accessing rq without holding rq lock",
     "scx_bpf_locked_rq() outside of a callback that holds the run queue",
     "call it from a callback that runs under the run queue's lock"},
    {"invalid enq_flags", "", "pass SCX_ENQ_* flags that a scheduler may set, of this kernel's enum"},
    {"invalid SCX_REENQ flags", "", "pass SCX_REENQ_* flags of this kernel's enum"},
    {"SCX_ENQ_IMMED on a non-local DSQ", "", "SCX_ENQ_IMMED belongs to inserts into local DSQs only"},
    {"SCX_ENQ_RESCUE on a non-local DSQ", "", "SCX_ENQ_RESCUE belongs to inserts into local DSQs only"},
    {"SCX_ENQ_REENQ on SCX_DSQ_LOCAL repeated",
     "tasks came back from a local DSQ, and the scheduler put them there again, over and over",
     "when enq_flags has SCX_ENQ_REENQ, insert the task elsewhere than where it just came from"},
    {"times without running", "it came back from where it was inserted, and the scheduler put it there again",
     "when enq_flags has SCX_ENQ_REENQ, insert the task elsewhere than where it just came from"},
    {"to be rescued", "tasks that no callback served took more than the kernel's share for rescues",
     "serve tasks whose allowed CPUs the scheduler does not use (per-CPU kthreads above all)"},
    {"PREEMPT/WAIT cannot be used with SCX_KICK_IDLE", "", "kick with SCX_KICK_IDLE alone, or without it"},
    {"scx_bpf_kick_cpu() called from NMI", "", "kick from a callback of the scheduler, or from a timer"},
    {"__scx_bpf_dsq_insert_vtime() must be used", "",
     "build the scheduler against the headers of this kernel (compat.bpf.h)"},
    {"__scx_bpf_select_cpu_and() must be used", "",
     "build the scheduler against the headers of this kernel (compat.bpf.h)"},
    {"scx_bpf_dump() must only be called from", "",
     "use scx_bpf_dump() in ops.dump, dump_cpu and dump_task only"},
    {"per-node idle tracking is disabled", "",
     "set SCX_OPS_BUILTIN_IDLE_PER_NODE to use the kfuncs of nodes"},
    {"per-node idle tracking is enabled", "",
     "use the kfuncs with _node, or leave SCX_OPS_BUILTIN_IDLE_PER_NODE out"},
    {"SCX_OPS_BUILTIN_IDLE_PER_NODE enabled", "",
     "use the kfuncs with _node, or leave SCX_OPS_BUILTIN_IDLE_PER_NODE out"},
    {"built-in idle tracking is disabled", "ops.update_idle is set, so that the kernel keeps no idle CPUs",
     "set SCX_OPS_KEEP_BUILTIN_IDLE, or keep the idle CPUs in the scheduler"},
    {"SCX_OPS_ENQ_LAST requires ops.enqueue()", "", "implement ops.enqueue, or leave the flag out"},
    {"SCX_OPS_BUILTIN_IDLE_PER_NODE requires", "",
     "set SCX_OPS_KEEP_BUILTIN_IDLE, or leave ops.update_idle out"},
    {"scx_bpf_tid_to_task() called without", "", "set SCX_OPS_TID_TO_TASK in the ops"},
    {"SCX_OPS_TID_TO_TASK requires root scheduler", "",
     "set SCX_OPS_TID_TO_TASK in the root scheduler's ops"},
    {"scx_bpf_cid_override", "the map of CPUs to cids that the scheduler gave is no valid one", ""},
    {"assigned to multiple cpus", "the map of CPUs to cids that the scheduler gave is no valid one", ""},
    {"requires cid-form struct_ops", "", "use struct sched_ext_ops_cid"},
    {"require a cid-form scheduler", "", "use struct sched_ext_ops_cid"},
    {"cid-form scheduler", "", "give the scheduler one BPF arena map"},
    {"but the task belongs to a different scheduler", "", "move only tasks of the scheduler's own cgroups"},
    {"not a direct child", "", "a scheduler dispatches its direct sub-schedulers only"},
    {"distant sub-sched", "", "a scheduler dispatches its direct sub-schedulers only"},
    {"parent bypassing", "the scheduler above it was being taken off", ""},
    {"parent disabled", "the scheduler above it was taken off", ""},
    {"parent rejected", "ops.sub_attach of the scheduler above refused it", ""},
    {"set task->scx.disallow", "", kDisallow},
    {"returned an invalid errno", "", "return 0 or a negative errno from 1 to 4095"},
    {"soft lockup - CPU",
     "the kernel's soft-lockup detector aborted the scheduler: that CPU did not schedule for so long",
     kLockup},
    {"hard lockup - CPU",
     "the kernel's hard-lockup detector aborted the scheduler: that CPU took no interrupts", kLockup},
    {"RCU CPU stall",
     "the kernel's RCU stall detector aborted the scheduler: a CPU passed no quiescent state", kLockup},
    {"recursion detected", "a callback was called from inside itself", ""},
    {"failed to format", "the text of a message of the scheduler's could not be put together",
     "check the format and the arguments of scx_bpf_error(), scx_bpf_exit() or scx_bpf_dump()"},
    {"format preparation failed", "the text of a message of the scheduler's could not be put together",
     "check the format and the arguments of scx_bpf_error(), scx_bpf_exit() or scx_bpf_dump()"},
    {"failed to read data fields", "the text of a message of the scheduler's could not be put together",
     "check the format and the arguments of scx_bpf_error(), scx_bpf_exit() or scx_bpf_dump()"},
    {"and data__sz=", "the text of a message of the scheduler's could not be put together",
     "check the format and the arguments of scx_bpf_error(), scx_bpf_exit() or scx_bpf_dump()"},
    {"exit message formatting failed", "the text of a message of the scheduler's could not be put together",
     ""},
    {"() failed (-17)", "", "EEXIST: it makes something that exists already: a DSQ id, a map's key"},
    {"() failed (-28)", "", "ENOSPC: raise the size of the map or ring that is full"},
};

const KernelMessage* known_message(std::string_view message) {
  for (const KernelMessage& known : kMessages)
    if (mentions(message, known.words)) return &known;
  return nullptr;
}

// enum scx_kf_mask of 6.12 to 7.0: which callbacks a kfunc is for, or which one runs.
std::string kfunc_callbacks(uint64_t mask) {
  constexpr struct {
    uint64_t bit;
    std::string_view name;
  } kBits[] = {{1, "ops.cpu_release"}, {2, "ops.dispatch"}, {8, "ops.select_cpu"}, {4, "ops.enqueue"}};
  for (const auto& known : kBits)
    if (mask & known.bit) return std::string(known.name);
  return mask == 0 ? "a callback that may sleep" : "a callback of another kind";
}

std::optional<uint64_t> hex_at(std::string_view message, std::string_view key) {
  const size_t at = message.find(key);
  if (at == message.npos) return std::nullopt;
  const std::string_view rest = message.substr(at + key.size());
  return parse_number(rest.substr(0, std::min(rest.find_first_of(" ,)"), rest.size())), 0);
}

}  // namespace

std::string errno_words(int error) {
  const char* name = ::strerrorname_np(error);
  const char* what = ::strerrordesc_np(error);
  if (!name) return {};
  return what ? fmt::format("{}, {}", name, what) : std::string(name);
}

std::string number_note(std::string_view message) {
  if (const size_t at = message.find("0xffffffff"); at != message.npos) {
    const size_t end = std::min(message.find_first_not_of("0123456789abcdefx", at), message.size());
    if (const auto value = parse_number(message.substr(at, end - at), 0);
        value && *value > UINT64_MAX - 4095) {
      const int error = static_cast<int>(UINT64_MAX - *value + 1);
      if (const std::string words = errno_words(error); !words.empty())
        return fmt::format(" [{} is -{}, {}: an error taken for an id]", message.substr(at, end - at), error,
                           words);
    }
  }
  if (!mentions(message, "fail") && !mentions(message, "return") && !mentions(message, "error") &&
      !mentions(message, "err"))
    return {};
  for (size_t at = message.find('-'); at != message.npos; at = message.find('-', at + 1)) {
    if (at > 0 && !std::strchr(" (=:", message[at - 1])) continue;
    std::string_view digits = message.substr(at + 1);
    digits = digits.substr(0, std::min(digits.find_first_not_of("0123456789"), digits.size()));
    const auto number = parse_number<int>(digits);
    if (!number || *number < 1 || *number > 4095) continue;
    if (const std::string words = errno_words(*number); !words.empty())
      return fmt::format(" [-{} is {}]", digits, words);
  }
  return {};
}

std::string_view number_at(std::string_view message, std::string_view key) {
  const size_t at = message.find(key);
  if (at == message.npos) return {};
  const std::string_view rest = message.substr(at + key.size());
  return rest.substr(0, std::min(rest.find_first_not_of("0123456789"), rest.size()));
}

ErrorWords kernel_error(std::string_view message, const std::vector<ChainFrameT>& all_frames) {
  // What an interrupt stopped has nothing to do with it.
  std::vector<ChainFrameT> frames;
  for (const ChainFrameT& frame : all_frames) {
    frames.push_back(frame);
    if (!frame.uncertain && is_interrupt(frame.function)) break;
  }
  const bool deferred = certain_with(frames, "process_ddsp_deferred_locals") ||
                        certain_with(frames, "run_deferred") || certain_with(frames, "deferred_irq_workfn");
  std::string_view callback;
  for (const ChainFrameT& frame : frames)
    if (callback.empty() && !frame.uncertain) callback = callback_called_by(frame.function);
  const std::string who = deferred           ? "a deferred direct dispatch"
                          : callback.empty() ? "the scheduler"
                                             : fmt::format("ops.{}", callback);
  constexpr std::string_view kDisabled = "cannot move migration disabled ";
  if (mentions(message, kDisabled)) {
    const std::string task = task_between(message, kDisabled, " from CPU ");
    // The message may be cut off behind any word.
    const std::string_view from = number_at(message, " from CPU "), to = number_at(message, " to ");
    return {fmt::format("{} put migration-disabled {}{} into {} local DSQ", who, task.empty() ? "task" : task,
                        from.empty() ? "" : fmt::format(" (on CPU {})", from),
                        to.empty() ? "another CPU's" : fmt::format("CPU {}'s", to)),
            task};
  }
  std::string low = lower(message);
  constexpr std::string_view kNotAllowed = " not allowed for ";
  if (const size_t at = low.find("target cpu "); at != low.npos && low.find(kNotAllowed, at) != low.npos) {
    const std::string task = task_between(message, kNotAllowed, "");
    return {
        fmt::format("{} put {} on CPU {}, which is {} allowed for it", who, task.empty() ? "a task" : task,
                    number_at(low, "target cpu "), deferred ? "not, or no longer," : "not"),
        task};
  }
  if (message.starts_with("called on a task not being operated on") && !frames.empty())
    return {fmt::format("{}() was called on a task that the callback was not given",
                        base_function(frames.front().function)),
            ""};
  if (const size_t at = message.find(" already direct-dispatched"); at != message.npos) {
    const auto task = parse_task_name(message.substr(0, at));
    const std::string name(task ? task->comm : message.substr(0, at));
    return {fmt::format("{} was dispatched twice: already direct-dispatched", name), name};
  }
  constexpr std::string_view kFor = "scheduling for ", kOther = " but trying to direct-dispatch ";
  if (mentions(message, kOther)) {
    const std::string task = task_between(message, kFor, kOther);
    return {fmt::format("the callback was called for {} and inserted {}", task,
                        task_between(message, kOther, "")),
            task};
  }
  if (const std::string_view cpu = number_at(message, "invalid CPU "); message.starts_with("invalid CPU ")) {
    const std::string number =
        cpu.empty() ? std::string(message.substr(12, message.find(' ', 12) - 12)) : std::string(cpu);
    if (mentions(message, "from ops.select_cpu()"))
      return {fmt::format("ops.select_cpu returned CPU {}, which does not exist", number), ""};
    if (mentions(message, "SCX_DSQ_LOCAL_ON"))
      return {
          fmt::format("{} inserted a task into the local DSQ of CPU {}, which does not exist", who, number),
          ""};
    return {fmt::format("CPU {} was passed to a kfunc, and does not exist", number), ""};
  }
  if (const auto asked = hex_at(message, "kfunc with mask "), allowed = hex_at(message, "only allowing ");
      asked && allowed)
    return {fmt::format("a kfunc of {} was called from {} [{}]", kfunc_callbacks(*asked),
                        kfunc_callbacks(*allowed), message),
            ""};
  std::string task;
  if (const size_t at = message.find("] reenqueued "); at != message.npos)
    task = task_between(message.substr(0, at + 1), "", "");
  if (mentions(message, " to be rescued")) task = task_between(message, " while ", " waited ");
  if (mentions(message, ") for ")) task = task_between(message, ") for ", "");
  const KernelMessage* known = known_message(message);
  if (!known || known->meaning.empty()) return {std::string(message), task};
  return {fmt::format("{}: {}", message, known->meaning), task};
}

std::string error_advice(std::string_view message) {
  if (const KernelMessage* known = known_message(message)) return std::string(known->advice);
  const auto named = named_callback(message);
  if (!named) return {};
  // What a task or a cgroup needs is given back where it ends.
  const std::string_view back = named->member == "init_task"     ? "ops.exit_task"
                                : named->member == "cgroup_init" ? "ops.cgroup_exit"
                                                                 : "";
  switch (named->error) {
    case ENOMEM:
    case E2BIG:
      return fmt::format("{}: raise max_entries of the map that holds an entry for each {}{}",
                         named->error == ENOMEM ? "ENOMEM" : "E2BIG",
                         named->member == "cgroup_init" ? "cgroup" : "task",
                         back.empty() ? "" : fmt::format(", or free entries in {}", back));
    default:
      return {};
  }
}

}  // namespace ktstr
