#include "explain/error_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/numbers.h"
#include "base/text.h"
#include "explain/explanation_parts.h"
#include "scx/crash_frames.h"
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

ErrorWords kernel_error(std::string_view message, const std::vector<ChainFrameT>& frames) {
  const bool deferred =
      certain_with(frames, "process_ddsp_deferred_locals") || certain_with(frames, "run_deferred");
  std::string_view callback;
  for (const ChainFrameT& frame : frames)
    if (callback.empty() && !frame.uncertain) callback = callback_called_by(frame.function);
  const std::string who = deferred           ? "a deferred direct dispatch"
                          : callback.empty() ? "the scheduler"
                                             : fmt::format("ops.{}", callback);
  constexpr std::string_view kDisabled = "cannot move migration disabled ";
  if (mentions(message, kDisabled)) {
    const std::string task = task_between(message, kDisabled, " from CPU ");
    return {fmt::format("{} put migration-disabled {} (on CPU {}) into CPU {}'s local DSQ", who, task,
                        number_at(message, " from CPU "), number_at(message, " to ")),
            task};
  }
  std::string low = lower(message);
  constexpr std::string_view kNotAllowed = " not allowed for ";
  if (const size_t at = low.find("target cpu "); at != low.npos && low.find(kNotAllowed, at) != low.npos) {
    const std::string task = task_between(message, kNotAllowed, "");
    return {fmt::format("{} put {} on CPU {}, which is {} allowed for it", who, task,
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
  return {std::string(message), ""};
}

std::string_view error_advice(std::string_view message) {
  constexpr struct {
    std::string_view words, advice;
  } kKnown[] = {
      {" not allowed for ",
       "before a task goes into a CPU's local DSQ, test that CPU in its cpus_ptr (bpf_cpumask_test_cpu())"},
      {"cannot move migration disabled",
       "leave a task whose migration is disabled on its CPU (is_migration_disabled())"},
      {"already direct-dispatched",
       "insert a task once for each ops.select_cpu and ops.enqueue: return after the first insert"},
      {"already had FIFO-enqueued",
       "use either scx_bpf_dsq_insert() or scx_bpf_dsq_insert_vtime() on one DSQ, never both"},
      {"already had PRIO-enqueued",
       "use either scx_bpf_dsq_insert() or scx_bpf_dsq_insert_vtime() on one DSQ, never both"},
      {"already had PRIQ-enqueued",
       "use either scx_bpf_dsq_insert() or scx_bpf_dsq_insert_vtime() on one DSQ, never both"},
      {"cannot use vtime ordering", "built-in DSQs are FIFO: insert into one of your own with a vtime"},
      {"non-existent DSQ",
       "create the DSQ (scx_bpf_create_dsq()) in ops.init before a task goes there, and test the id"},
      {"invalid DSQ ID",
       "create the DSQ (scx_bpf_create_dsq()) in ops.init before a task goes there, and test the id"},
      {"dispatch buffer overflow",
       "dispatch at most ops.dispatch_max_batch tasks in one call (scx_bpf_dispatch_nr_slots())"},
      {"invalid CPU ",
       "test a CPU number against scx_bpf_nr_cpu_ids(), and -1 of the pick functions, before it is used"},
      {"called on a task not being operated on",
       "call it on the task that the callback was given, or on one that it holds"},
      {"() failed (-12)",
       "ENOMEM: raise max_entries of the map that holds an entry for each task, or free entries in "
       "ops.exit_task"},
      {"() failed (-7)",
       "E2BIG: raise max_entries of the map that holds an entry for each task, or free entries in "
       "ops.exit_task"},
      {"() failed (-28)",
       "ENOSPC: raise the size of the map or ring that is full, or free entries in ops.exit_task"},
      {"() failed (-17)", "EEXIST: it makes something that exists already: a DSQ id, a map's key"},
  };
  for (const auto& known : kKnown)
    if (mentions(message, known.words)) return known.advice;
  return {};
}

}  // namespace ktstr
