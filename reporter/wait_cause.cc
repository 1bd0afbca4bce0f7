#include "reporter/wait_cause.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/clock.h"
#include "base/cpu_list.h"
#include "base/numbers.h"
#include "base/text.h"
#include "reporter/program_lines.h"
#include "reporter/sections.h"
#include "reporter/slow_callback.h"
#include "reporter/user_threads.h"
#include "reporter/wait_place.h"
#include "schemas/monitor_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr uint64_t kFewestSamples = 5;  // fewer prove nothing
constexpr size_t kMaxQueuesSaid = 6;
constexpr size_t kMaxThreadsSaid = 4;
constexpr std::string_view kSliceInf = "18446744073709551615";  // SCX_SLICE_INF, as a dump prints it

bool mostly(uint64_t part, uint64_t whole) { return whole >= kFewestSamples && part * 10 >= whole * 8; }

std::string times(uint64_t n) { return n == 1 ? "once" : fmt::format("{} times", n); }

std::string cpus_words(const std::vector<unsigned>& cpus) {
  return fmt::format("{} {}", cpus.size() == 1 ? "CPU" : "CPUs", cpu_list(cpus));
}

class WaitExplanation {
 public:
  WaitExplanation(const VmRecord& vm, int pid)
      : vm_(vm),
        pid_(pid),
        wait_(vm.monitor.waits.find(pid)),
        task_(vm.scheduler.words.dump().find(pid)),
        dsq_(wait_dsq(vm, pid)),
        place_(wait_place(vm, pid)),
        allowed_(allowed_cpus(vm, pid)) {
    for (const CallbackFact& callback : vm.scheduler.callbacks)
      if (callback.member == "dispatch") dispatch_ = callback.name;
    count();
  }

  WaitCause run() {
    decide();
    tell_statements();
    tell_cpus();
    tell_queues();
    tell_maps();
    tell_timers();
    tell_callbacks();
    tell_process();
    if (advice_.empty()) advice_ = stall_advice(out_.what);
    // Seen from outside, every CPU on which it may run was taken: no requeue helps.
    if (out_.what == StallClass::kCpuTaken)
      advice_ =
          "no sched_ext scheduler can run it there: bound what the real-time task takes, or let the waiting "
          "task run on other CPUs";
    else if (out_.what == StallClass::kUserHalfAsleep && (ending_thread(vm_) || stopped_thread(vm_)))
      advice_ =
          "let the kernel half place tasks when no answer comes, those of the scheduler's own process above "
          "all";
    out_.advice = std::move(advice_);
    return std::move(out_);
  }

 private:
  // Sums over the CPUs on which it may run; over all when those are not known.
  void count() {
    if (!wait_) return;
    for (unsigned cpu = 0; cpu < wait_->cpus.size(); ++cpu) {
      if (!allowed_.empty() && std::find(allowed_.begin(), allowed_.end(), cpu) == allowed_.end()) {
        if (auto calls = wait_->calls(dispatch_, cpu)) calls_elsewhere_ += *calls;
        continue;
      }
      const CpuTally& t = wait_->cpus[cpu];
      if (t.samples() == 0) continue;
      ++seen_;
      if (mostly(t.idle, t.samples())) idle_.push_back(cpu);
      if (mostly(t.real_time, t.samples())) real_time_.push_back(cpu);
      if (mostly(t.local_waiting, t.samples()))
        filled_.push_back(cpu);
      else if (mostly(t.most().samples, t.samples()))
        held_.push_back(cpu);
      if (auto calls = wait_->calls(dispatch_, cpu)) {
        calls_ = calls_.value_or(0) + *calls;
        if (idle_.size() && idle_.back() == cpu) idle_calls_ += *calls;
      }
    }
    if (dsq_) taken_ = wait_->taken_from(*dsq_);
  }

  void say(StallClass what, std::string summary) { out_ = {what, std::move(summary), {}, {}}; }
  // Nothing when it may run anywhere, or when it is not known how many CPUs there are.
  std::string only() const {
    const size_t all = wait_ ? wait_->cpus.size() : frozen() ? frozen()->cpus.size() : 0;
    if (allowed_.empty() || (allowed_.size() > 1 && (all == 0 || allowed_.size() >= all))) return "";
    return fmt::format("it may run on {} only; ", cpus_words(allowed_));
  }
  std::string held() const { return human_ns(wait_->span_ns); }

  void decide() {
    std::string waits = fmt::format("{}it waits {}", only(), place_);
    if (task_) waits += fmt::format(", on CPU {}'s run queue", task_->cpu);
    if (task_ && task_->held_by_scheduler()) {
      const std::string kept = in_maps();
      const std::string held =
          waits + ": the scheduler holds it (ops_state QUEUED: it was enqueued and never dispatched)" + kept;
      if (const std::string asleep = user_half_asleep(); !asleep.empty())
        return say(StallClass::kUserHalfAsleep, held + "; " + asleep);
      const std::string lost = kept_in_map_ ? "" : lost_in_enqueue();
      // Where no way loses it, it is in what the process has not read.
      if (const std::string unread = unread_rings(); !kept_in_map_ && lost.empty() && !unread.empty())
        return say(StallClass::kUserHalfAsleep, fmt::format("{}; {}", held, unread));
      return say(StallClass::kHeldByScheduler, held + lost);
    }
    if (!wait_ || wait_->samples < kFewestSamples) return say(StallClass::kUnknown, waits);
    if (seen_ && real_time_.size() == seen_)
      return say(StallClass::kCpuTaken, fmt::format("{}; meanwhile {} ran {}[{}], a real-time task", waits,
                                                    cpus_words(real_time_), wait_->rt_comm, wait_->rt_pid));
    // An idle CPU is the guest's own decision; a guest that took tasks from DSQs, or was asked for some, was run.
    const bool stood =
        taken_.value_or(0) == 0 && taken_elsewhere() == 0 && calls_.value_or(0) < kFewestSamples;
    if (idle_.empty() && stood && wait_->span_ns && wait_->host_wait_ns * 2 > wait_->span_ns)
      return say(StallClass::kHost, fmt::format("{}; the host did not run the guest's CPUs for {} of {}",
                                                waits, human_ns(wait_->host_wait_ns), held()));
    if (idle_.empty())
      if (const auto slow = slow_callback(vm_); slow && slow->share >= 0.5)
        return say(StallClass::kSlowCallback, fmt::format("{}; {}", waits, slow_words(*slow)));
    if (!dsq_) return say(StallClass::kUnknown, waits);
    if (!idle_.empty()) return idle_cpu(waits);
    if (rarely_asked() && filled_.size() + held_.size() == seen_) return never_asked(waits);
    if (taken_ && *taken_ == 0 && taken_elsewhere() > 0)
      return say(
          StallClass::kDsqNotConsumed,
          fmt::format("{}; nothing was taken from that DSQ for {}, while {} tasks were taken from others",
                      waits, held(), taken_elsewhere()));
    // The task was there to be moved each time that a CPU on which it may run was asked.
    if (calls_ && taken_ && in_vain_of(*calls_)) {
      const std::string stopped = stopped_timer();
      return say(
          stopped.empty() ? StallClass::kDispatchMovesNothing : StallClass::kTimerStopped,
          fmt::format("{}; ops.dispatch was called {} there, and {} tasks were taken from all DSQs{}{}{}",
                      waits, times(*calls_), *taken_ + taken_elsewhere(), unmoved(),
                      stopped.empty() ? "" : "; ", stopped));
    }
    if (vtime_wrapped())
      advice_ =
          "look at what is added to dsq_vtime: a slice that was set larger than the one it is subtracted "
          "from "
          "makes it wrap";
    if (taken_ && *taken_ >= kFewestSamples)
      return say(
          ordered() ? StallClass::kStarvedInOrder : StallClass::kUnknown,
          fmt::format("{}; {} other tasks were taken from that DSQ meanwhile{}", waits, *taken_, order()));
    say(StallClass::kUnknown, waits);
  }

  // How ops.enqueue may have lost it: a way out without an insert, a map that has no room for its entry.
  std::string lost_in_enqueue() {
    const auto ways = ways_out(vm_, "enqueue", WaysOf::kDropped);
    const std::string full = full_maps();
    if (!full.empty())
      advice_ =
          "raise max_entries of the map that is full, or free its entries when tasks end "
          "(ops.exit_task); place the task all the same when it has no entry";
    else if (!ways.empty())
      advice_ = "insert the task on that way out of ops.enqueue too, or keep it where ops.dispatch finds it";
    std::string text;
    if (!ways.empty())
      text +=
          fmt::format("; ops.enqueue has {} on which it calls nothing that inserts or stores the task: {}",
                      ways.size() == 1 ? "a way out" : "ways out", listed(ways, "after "));
    return text + (full.empty() ? "" : "; " + full);
  }

  // Fewer than one of four calls of ops.dispatch can have moved a task.
  bool in_vain_of(uint64_t calls) const {
    return calls >= kFewestSamples && (*taken_ + taken_elsewhere()) * 4 < calls;
  }

  // "ops.dispatch moves nothing after …": its ways out before a move.
  std::string unmoved() const {
    const auto ways = ways_out(vm_, "dispatch", WaysOf::kUnplaced);
    return ways.empty() ? "" : "; it moves none on its way out " + listed(ways, "after ");
  }

  // A CPU on which it may run was idle: what kept it from taking the task.
  void idle_cpu(const std::string& waits) {
    const std::string idle = fmt::format("{}; {} could run it and {} idle for {}", waits, cpus_words(idle_),
                                         idle_.size() == 1 ? "was" : "were", held());
    const std::string stopped = stopped_timer();
    if (!stopped.empty()) return say(StallClass::kTimerStopped, fmt::format("{}; {}", idle, stopped));
    if (!calls_) return say(StallClass::kUnknown, idle);
    if (idle_calls_ == 0)
      return say(StallClass::kNotKicked,
                 fmt::format("{}: ops.dispatch was not called there, so nobody kicked {}", idle,
                             idle_.size() == 1 ? "it" : "them"));
    if (taken_ && *taken_ == 0) {
      const bool anywhere = taken_elsewhere() > 0;
      return say(anywhere ? StallClass::kDsqNotConsumed : StallClass::kDispatchMovesNothing,
                 fmt::format("{}: ops.dispatch was called {} there and took {}", idle, times(idle_calls_),
                             anywhere ? "nothing from that DSQ" : "nothing from any DSQ") +
                     (anywhere ? "" : unmoved()));
    }
    if (!taken_) return say(StallClass::kUnknown, idle);
    // Once in a while it did take one: what it was called for in vain is the finding.
    const bool in_vain = in_vain_of(idle_calls_);
    say(in_vain ? StallClass::kDispatchMovesNothing : StallClass::kUnknown,
        fmt::format("{}: ops.dispatch was called {} there and {} tasks were taken from that DSQ{}", idle,
                    times(idle_calls_), *taken_, in_vain ? unmoved() : ""));
  }

  // With slices of 20 ms a busy CPU calls ops.dispatch fifty times a second.
  bool rarely_asked() const {
    return seen_ && calls_ && (*calls_ == 0 || wait_->span_ns / *calls_ * seen_ >= kSecond / 2);
  }

  // Busy CPUs that had no reason to call ops.dispatch, the only one who could take the task from its DSQ.
  void never_asked(const std::string& waits) {
    const std::string never =
        *calls_ == 0
            ? fmt::format("{}; ops.dispatch was not called there for {}", waits, held())
            : fmt::format("{}; ops.dispatch was called only {} there in {}", waits, times(*calls_), held());
    if (held_.empty())
      return say(StallClass::kLocalDsqFirst,
                 fmt::format("{}, because the local {} of {} {} never empty", never,
                             filled_.size() == 1 ? "DSQ" : "DSQs", cpus_words(filled_),
                             filled_.size() == 1 ? "was" : "were"));
    const unsigned cpu = held_.front();
    const CpuTally& t = wait_->cpus[cpu];
    const CpuTally::Holder& most = t.most();
    const DumpTask* holder = vm_.scheduler.words.dump().find(most.pid);
    const bool endless = holder && holder->fields.get("slice") == kSliceInf;
    say(StallClass::kCpuHeld,
        fmt::format("{}: {}[{}] has CPU {} in {} of {} samples{}{}", never, most.comm, most.pid, cpu,
                    most.samples, t.samples(), endless ? ", and its slice never ends (SCX_SLICE_INF)" : "",
                    held_.size() > 1
                        ? fmt::format("; the same on {}", cpus_words({held_.begin() + 1, held_.end()}))
                        : ""));
  }

  uint64_t taken_elsewhere() const {
    uint64_t sum = 0;
    if (wait_ && wait_->dsqs_last)
      for (const auto& [id, now] : wait_->dsqs_last->dsqs)
        if (!dsq_ || id != *dsq_) sum += wait_->taken_from(id).value_or(0);
    return sum;
  }

  // The task's DSQ is sorted by vtime (SCX_TASK_DSQ_ON_PRIQ, or other vtimes in it).
  bool ordered() const {
    const auto flags = task_ ? parse_number<uint32_t>(task_->fields.get("dsq_flags"), 16) : std::nullopt;
    return (flags && *flags & 1) || !order().empty();
  }

  // ", vtime 1000; the first in it has 0": of a DSQ that is sorted by vtime.
  std::string order() const {
    const auto [task, first] = own_and_first();
    if (!task) return "";
    return fmt::format(
        " (its vtime is {}, that of the first, {}[{}], is {}{})", task->vtime, first->comm, first->pid,
        first->vtime,
        vtime_wrapped() ? "; no charge brings it so far ahead: a subtraction went below zero" : "");
  }

  // The task and the first one of its DSQ, where their vtimes differ; null: they do not, or it was not seen.
  std::pair<const TaskSeenT*, const TaskSeenT*> own_and_first() const {
    const GuestFrozenT* early = vm_.monitor.early_of_end();
    if (!early || !dsq_) return {};
    for (const auto& dsq : early->dsqs) {
      if (dsq->id != *dsq_ || dsq->tasks.empty()) continue;
      const TaskSeenT& first = *dsq->tasks.front();
      for (const auto& task : dsq->tasks)
        if (task->pid == pid_ && task->vtime != first.vtime) return {task.get(), &first};
    }
    return {};
  }

  // No charge brings a task so far ahead: 128 times what the guest has run, as a task of the lowest weight is charged.
  bool vtime_wrapped() const {
    const auto [task, first] = own_and_first();
    if (!task) return false;
    uint64_t up_ns = 0;
    for (const auto& cpu : vm_.monitor.early_of_end()->cpus) up_ns = std::max(up_ns, cpu->rq_clock);
    const auto ahead = static_cast<int64_t>(task->vtime - first->vtime);
    return up_ns && ahead > 0 && static_cast<uint64_t>(ahead) / 128 > up_ns;
  }

  const GuestFrozenT* frozen() const {
    return vm_.monitor.frozen ? &*vm_.monitor.frozen : vm_.monitor.early_of_end();
  }

  std::string in_maps() {
    std::string text, others;
    if (const GuestFrozenT* f = frozen())
      for (const auto& map : f->maps) {
        // A task's own storage comes and goes with the task: it tells nothing of where the task waits.
        if (map->type_name == "task_storage") continue;
        if (holds_task(*map, pid_)) kept_in_map_ = true;
        if (holds_task(*map, pid_))
          text += fmt::format("{} {} ({})", text.empty() ? "; its pid is in map" : ",", map->name,
                              map->type_name);
        else if ((map->type_name == "queue" || map->type_name == "stack") && map->used >= 0 &&
                 map->note.empty() && map->entries_left_out == 0)
          others += fmt::format("{}{} ({}, {} of {} entries)", others.empty() ? "" : ", ", map->name,
                                map->type_name, map->used, map->max_entries);
      }
    // A queue holds the tasks themselves: who is not in it was lost, or never got in.
    return text.empty() && !others.empty() ? "; its pid is not in map " + others : text;
  }

  // "ring buffer x holds 96 bytes that the scheduler's process has not read"; empty: none does.
  std::string unread_rings() const {
    std::string text;
    const GuestFrozenT* early = vm_.monitor.early_of_end();
    if (const GuestFrozenT* f = early ? early : frozen())
      for (const auto& map : f->maps)
        if (map->type_name == "ringbuf" && map->used > 0)
          text += fmt::format("{}ring buffer {} holds {} bytes that the scheduler's process has not read",
                              text.empty() ? "" : ", ", map->name, map->used);
    const GuestFrozenT* f = frozen_threads(vm_);
    if (!text.empty() && f && !f->threads.empty())
      text += fmt::format(" ({})", thread_words(*f->threads.front()));
    return text;
  }

  // "no thread of the scheduler's process ran meanwhile (…)": it slept for most of the wait, and may be the one to decide.
  std::string user_half_asleep() const {
    if (const FrozenThreadT* thread = ending_thread(vm_))
      return fmt::format("the scheduler's process cannot decide: it {}, and is not gone: its {}",
                         ending_words(*thread), thread_words(*thread));
    if (const FrozenThreadT* thread = stopped_thread(vm_))
      return "the scheduler's process cannot decide: " + thread_words(*thread) + ", until SIGCONT comes";
    const GuestFrozenT* f = frozen_threads(vm_);
    if (!f) return "";
    const uint64_t waited = f->early && f->early_wait_ns ? f->early_wait_ns : wait_ ? wait_->wait_ns : 0;
    const uint64_t idle = process_idle_ns(*f);
    if (waited < kSecond / 2 || idle < waited * 7 / 10) return "";
    return fmt::format("no thread of the scheduler's process ran meanwhile ({}{})",
                       thread_words(*f->threads.front()),
                       f->threads.size() > 1 ? fmt::format("; {} more", f->threads.size() - 1) : "");
  }

  void tell_process() {
    const GuestFrozenT* f = frozen_threads(vm_);
    if (!f) return;
    std::string text = "the scheduler's process: ";
    for (size_t i = 0; i < f->threads.size() && i < kMaxThreadsSaid; ++i)
      text += (i ? "; " : "") + thread_words(*f->threads[i]);
    if (f->threads.size() > kMaxThreadsSaid)
      text += fmt::format("; {} more", f->threads.size() - kMaxThreadsSaid);
    out_.evidence.push_back(text);
  }

  void tell_callbacks() {
    if (const auto slow = slow_callback(vm_); slow && out_.what != StallClass::kSlowCallback)
      out_.evidence.push_back(slow_words(*slow));
  }

  // A timer that was due when the wait began, or a little before, and is not armed any more.
  std::string stopped_timer() const {
    if (!wait_ || !frozen()) return "";
    for (const auto& map : frozen()->maps)
      for (const auto& entry : map->entries) {
        const auto& timer = entry->timer;
        if (!timer || timer->armed || timer->expires_ns == 0 || timer->expires_ns > timer->now_ns) continue;
        const uint64_t ago = timer->now_ns - timer->expires_ns;
        if (ago + kSecond >= wait_->wait_ns && ago <= wait_->wait_ns + 2 * kSecond)
          return fmt::format("the BPF timer in map {} stopped {} before{}", map->name, human_ns(ago),
                             not_restarted());
      }
    return "";
  }

  // "; a timer is not started again on the way out of refill() after …"
  std::string not_restarted() const {
    const auto ends = timer_ends(vm_);
    return ends.empty() ? "" : "; a timer is not started again on the way out of " + listed(ends, "");
  }

  void tell_cpus() {
    if (!wait_) return;
    out_.evidence.push_back(
        fmt::format("{}[{}] waited {} on CPU {}, {}; in {} samples the CPU ran sched_ext tasks {}, real-time "
                    "{}, others {}, idle {}; "
                    "a vCPU thread waited {} of {} for a host CPU",
                    wait_->comm, wait_->pid, human_ns(wait_->wait_ns), wait_->cpu, place_, wait_->samples,
                    wait_->ran_ext, wait_->ran_rt, wait_->ran_other, wait_->ran_idle,
                    human_ns(wait_->host_wait_ns), human_ns(wait_->span_ns)));
    if (wait_->samples < kFewestSamples)
      out_.evidence.push_back(fmt::format("{} samples are too few to name a cause", wait_->samples));
    if (calls_) {
      std::string text = fmt::format("ops.dispatch was called {} on {}", times(*calls_),
                                     allowed_.empty() ? "all CPUs" : cpus_words(allowed_));
      if (!allowed_.empty() && allowed_.size() < wait_->cpus.size())
        text += fmt::format(", {} on the others", times(calls_elsewhere_));
      out_.evidence.push_back(text);
    }
  }

  void tell_queues() {
    if (!wait_ || !wait_->dsqs_last) return;
    std::vector<std::pair<uint64_t, uint64_t>> served;  // tasks taken, DSQ
    for (const auto& [id, now] : wait_->dsqs_last->dsqs)
      if (auto taken = wait_->taken_from(id); taken && (*taken || now.depth || (dsq_ && id == *dsq_)))
        served.emplace_back(*taken, id);
    std::sort(served.rbegin(), served.rend());
    std::string text;
    size_t said = 0;
    for (const auto& [taken, id] : served) {
      if (said == kMaxQueuesSaid && !(dsq_ && id == *dsq_)) continue;
      text += fmt::format("{}{} {}", said++ ? ", " : "", dsq_name(id), taken);
    }
    if (served.size() > said) text += fmt::format(", and {} more", served.size() - said);
    if (!text.empty()) out_.evidence.push_back("tasks taken from DSQs meanwhile: " + text);
  }

  // "map x (hash) is full: 128 of 128 entries"; empty: none is.
  std::string full_maps() const {
    std::string text;
    const GuestFrozenT* f = frozen();
    if (!f) return text;
    for (const auto& map : f->maps) {
      const bool counted = map->used > 0 && map->max_entries && map->type_name != "ringbuf";
      if (counted && static_cast<uint64_t>(map->used) >= map->max_entries &&
          !map->type_name.starts_with("lru"))
        text += fmt::format("{}map {} ({}) is full: {} of {} entries", text.empty() ? "" : ", ", map->name,
                            map->type_name, map->used, map->max_entries);
    }
    return text;
  }

  void tell_maps() {
    const std::string full = full_maps();
    if (!full.empty() && out_.summary.find(full) == std::string::npos) out_.evidence.push_back(full);
  }

  // Which statements a DSQ that nobody takes from, or a dispatch in vain, is about.
  void tell_statements() {
    const bool about_dsq = out_.what == StallClass::kDsqNotConsumed || out_.what == StallClass::kNotKicked ||
                           out_.what == StallClass::kDispatchMovesNothing ||
                           out_.what == StallClass::kStarvedInOrder;
    if (!about_dsq) return;
    const auto inserts = placing_lines(vm_, "enqueue"), moves = placing_lines(vm_, "dispatch");
    std::string text;
    if (!inserts.empty()) text += "ops.enqueue inserts " + listed(inserts, "");
    if (!moves.empty()) text += (text.empty() ? "" : "; ") + ("ops.dispatch moves " + listed(moves, ""));
    if (!text.empty()) out_.evidence.push_back(text);
  }

  void tell_timers() {
    if (out_.what == StallClass::kTimerStopped) return;
    if (const std::string text = stopped_timer(); !text.empty()) out_.evidence.push_back(text);
  }

  const VmRecord& vm_;
  int pid_;
  std::optional<Wait> wait_;
  const DumpTask* task_;
  std::optional<uint64_t> dsq_;
  std::string place_, dispatch_;
  std::vector<unsigned> allowed_;
  size_t seen_ = 0;  // CPUs on which it may run
  std::vector<unsigned> idle_, real_time_;
  std::vector<unsigned> filled_, held_;  // whose local DSQ was never empty; else: that one sched_ext task has
  std::optional<uint64_t> calls_, taken_;  // of ops.dispatch on those; from its DSQ
  uint64_t idle_calls_ = 0, calls_elsewhere_ = 0;
  bool kept_in_map_ = false;  // its pid is in a map
  std::string advice_;        // nearer than that of its class; empty: that
  WaitCause out_;
};

}  // namespace

WaitCause explain_wait(const VmRecord& vm, int pid) { return WaitExplanation(vm, pid).run(); }

}  // namespace ktstr
