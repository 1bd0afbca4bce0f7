#include "monitor/monitor_session.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "monitor/freezer.h"
#include "monitor/map_poke.h"
#include "schemas/envelope.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

// A wait that is worth a look at the queues while it lasts: after the exit the kernel has moved every task.
constexpr uint64_t kLongWait = kSecond;
constexpr unsigned kMaxEarlyFreezes = 6;  // each wait twice as long as the one before

}  // namespace

MonitorSession::MonitorSession(const VmStarted& vm, const MonitorSeam& seam, LayoutCache& layouts,
                               Options options)
    : seam_(seam),
      layouts_(layouts),
      options_(std::move(options)),
      ram_path_(str(vm.ram_path())),
      qmp_path_(str(vm.qmp_path())),
      ram_layout_{vm.ram_bytes(), vm.lowmem_bytes()},
      qemu_pid_(vm.pid()),
      started_ns_(seam.clock->monotonic_ns()),
      last_error_("the VM ended before the first attempt"),
      retry_ns_(options_.first_retry_ns),
      written_(options_.writes.size(), false) {
  if (ram_layout_.bytes && !ram_layout_.lowmem) ram_layout_ = RamLayout::q35(ram_layout_.bytes);
}

MonitorSession::Facts MonitorSession::tick() {
  Facts facts;
  if (!sampler_) {
    if (seam_.clock->monotonic_ns() < next_try_ns_) return facts;
    try_attach(facts);
    if (!sampler_) return facts;
  }
  if (const Status read = sampler_->read(); !read) {
    ++failed_;
    log_debug("sample failed: " + read.error().message());
    return facts;
  }
  ++samples_;
  facts.sample = sampler_->sample();
  watch_waits(facts);
  if (seam_.vcpu_threads) {
    for (VcpuThreadT& thread : seam_.vcpu_threads(qemu_pid_)) {
      facts.sample->vcpus.push_back(std::make_unique<VcpuThreadT>(std::move(thread)));
    }
  }
  return facts;
}

void MonitorSession::try_attach(Facts& facts) {
  const uint64_t begin = seam_.clock->monotonic_ns();
  if (!ram_) {
    auto ram = seam_.open_ram(ram_path_);
    if (ram) {
      ram_ = std::move(*ram);
    } else {
      last_error_ = ram.error().message();
    }
  }
  if (ram_) {
    auto kernel = GuestKernel::attach(*ram_, ram_layout_, layouts_);
    if (kernel) {
      kernel_ = std::make_unique<GuestKernel>(std::move(*kernel));
      sampler_ = std::make_unique<Sampler>(*kernel_, *seam_.clock,
                                           std::max<uint64_t>(1'000'000'000 / options_.period_ns, 1));
      MonitorAttachedT attached;
      attached.release = printable(kernel_->info().release());
      attached.kaslr_offset = kernel_->info().kaslr_offset();
      attached.levels5 = kernel_->levels5();
      attached.attach_ns = seam_.clock->monotonic_ns() - begin;
      attached.absent = kernel_->layout().absent;
      attached.cpus = kernel_->cpus();
      attached.period_ns = options_.period_ns;
      attached.symbols = kernel_->layout().symbols_seen;
      attached.cached = kernel_->cached();
      facts.attached = std::move(attached);
      prepare();
      return;
    }
    last_error_ = kernel.error().message();
    // A kernel that is not up yet costs a scan; one that cannot be read costs a decode each time: ask less
    // often.
    if (kernel.error().kind() != ErrorKind::kNotFound)
      retry_ns_ = std::min(retry_ns_ * 2, options_.last_retry_ns);
  }
  log_debug("not attached: " + last_error_ + "; tried again in " + human_ns(retry_ns_));
  next_try_ns_ = seam_.clock->monotonic_ns() + retry_ns_;
}

// What a death or a write will need, made ready while there is time.
void MonitorSession::prepare() {
  death_ = std::make_unique<DeathWatch>(*kernel_);
  if (!seam_.open_hold || qmp_path_.empty()) {
    hold_error_ = "the VM has no QMP";
  } else if (auto hold = seam_.open_hold(qmp_path_)) {
    hold_ = std::move(*hold);
  } else {
    hold_error_ = hold.error().message();
  }
  if (options_.writes.empty() && options_.watchdog_timeout_ns == 0) return;
  if (!seam_.open_writer) {
    writer_error_ = "guest RAM cannot be written";
  } else if (auto writer = seam_.open_writer(ram_path_)) {
    writer_ = std::move(*writer);
    if (options_.watchdog_timeout_ns)
      watchdog_ = std::make_unique<WatchdogSetter>(*kernel_, *writer_, options_.watchdog_timeout_ns);
  } else {
    writer_error_ = writer.error().message();
  }
}

MonitorSession::Facts MonitorSession::watch() {
  Facts facts;
  if (!kernel_) return facts;
  if (const auto death = death_->look()) freeze(*death, facts);
  if (watchdog_) facts.watchdog = watchdog_->look();
  write_due(facts);
  return facts;
}

MonitorSession::Facts MonitorSession::observe() {
  Facts facts;
  if (kernel_) {
    facts.frozen = freeze("at " + human_ns(seam_.clock->monotonic_ns()) + " of the guest's clock");
  } else {
    facts.frozen = GuestFrozenT{};
    facts.frozen->reason = "the monitor has not attached yet";
    facts.frozen->note = last_error_;
  }
  facts.frozen->observed = true;
  return facts;
}

void MonitorSession::workload_started() {
  if (workload_start_ns_ == 0) workload_start_ns_ = seam_.clock->monotonic_ns();
}

void MonitorSession::freeze(const Death& death, Facts& facts) {
  // Every scheduler is taken out at the end of its test: that is no death.
  const FreezeLayout& l = kernel_->layout().freeze;
  if (workload_over_ && death.exit_kind == l.exit_unreg) return;
  std::string reason = "sched_ext exit " + std::to_string(death.exit_kind);
  const auto name = l.exit_names.find(death.exit_kind);
  if (name != l.exit_names.end()) reason += " (" + name->second + ")";
  facts.frozen = freeze(reason);
}

// The queues while a task waits: at half of the watchdog's time, or after a second, and again whenever a wait is twice
// as long as the longest so far.
void MonitorSession::watch_waits(Facts& facts) {
  if (!facts.sample->scx_enabled || workload_start_ns_ == 0 || workload_over_ ||
      early_freezes_ == kMaxEarlyFreezes)
    return;
  const TaskSeenT* longest = nullptr;
  unsigned on = 0;
  for (const auto& cpu : facts.sample->cpus) {
    const TaskSeenT* waits = cpu->longest_waiting.get();
    if (!waits || (longest && waits->wait_ns <= longest->wait_ns)) continue;
    longest = waits;
    on = cpu->cpu;
  }
  const uint64_t timeout = read_watchdog_timeout(*kernel_).value_or(UINT64_MAX);
  if (!longest || longest->wait_ns < std::max(std::min(kLongWait, timeout / 2), 2 * early_wait_ns_)) return;
  early_wait_ns_ = longest->wait_ns;
  ++early_freezes_;
  facts.frozen = freeze(printable(longest->comm) + "[" + std::to_string(longest->pid) + "] waits " +
                        human_ns(longest->wait_ns) + " on CPU " + std::to_string(on) + "'s run queue");
  facts.frozen->early = true;
  facts.frozen->early_pid = longest->pid;
  facts.frozen->early_wait_ns = longest->wait_ns;
}

GuestFrozenT MonitorSession::freeze(const std::string& reason) {
  const uint64_t asked = seam_.clock->monotonic_ns();
  const Status held = hold_ ? hold_->hold() : Status(Error::system(hold_error_));
  const uint64_t begin = seam_.clock->monotonic_ns();
  kernel_->refresh();
  FrozenGuest frozen = capture(*kernel_, {}, scheduler_pid_);
  const Status released = hold_ ? hold_->release() : Status();
  const uint64_t end = seam_.clock->monotonic_ns();

  auto threads = name_threads(*kernel_, std::move(frozen.threads));
  auto programs = judge_programs(*kernel_, std::move(frozen.programs));
  GuestFrozenT fact = render(std::move(frozen), kernel_->layout());
  fact.reason = reason;
  fact.programs = std::move(programs);
  fact.threads = std::move(threads);
  const uint64_t limit = held ? hold_->limit_ns() : 0;
  if (held && limit != 0 && end - asked >= limit) {
    fact.held_ns = std::max<uint64_t>(limit - std::min(limit, begin - asked), 1);
    fact.note = "reading took " + human_ns(end - begin) + ", and the guard resumed the VM after " +
                human_ns(limit) + ": what was read last is from a running guest";
  } else if (held) {
    fact.held_ns = std::max<uint64_t>(end - begin, 1);
  } else {
    fact.note = "the VM was not paused: " + held.error().message();
  }
  if (!released)
    fact.note +=
        (fact.note.empty() ? "" : "; ") + ("the guard resumed the VM: " + released.error().message());
  return fact;
}

void MonitorSession::write_due(Facts& facts) {
  if (workload_start_ns_ == 0 || written_.empty()) return;
  const uint64_t since = seam_.clock->monotonic_ns() - workload_start_ns_;
  for (size_t i = 0; i < written_.size(); ++i) {
    const MapWriteT& wanted = options_.writes[i];
    if (written_[i] || since < wanted.at_ns || !writer_) continue;
    written_[i] = true;
    facts.written.push_back(poke_map(*kernel_, *writer_, wanted, static_cast<uint32_t>(i), hold_.get()));
  }
}

void MonitorSession::fail_writes(const std::string& why, Facts& facts) {
  for (size_t i = 0; i < written_.size(); ++i) {
    if (written_[i]) continue;
    MapWrittenT said;
    said.map = options_.writes[i].map;
    said.field = options_.writes[i].field;
    said.index = static_cast<uint32_t>(i);
    said.error = !writer_error_.empty() ? writer_error_ : why;
    facts.written.push_back(std::move(said));
  }
}

MonitorSession::Facts MonitorSession::stop(const std::string& reason) {
  Facts facts;
  MonitorStoppedT stopped;
  stopped.samples = samples_;
  stopped.failed = failed_;
  stopped.reason = reason;
  if (sampler_) {
    for (const auto& [part, count] : sampler_->parts_failed()) {
      auto counter = std::make_unique<CounterT>();
      counter->name = part;
      counter->value = static_cast<int64_t>(count);
      stopped.parts_failed.push_back(std::move(counter));
    }
    stopped.programs = sampler_->last_programs();
    stopped.domains = sampler_->last_domains();
  } else {
    const uint64_t tried = seam_.clock->monotonic_ns() - started_ns_;
    facts.unavailable = MonitorUnavailableT{};
    facts.unavailable->reason = printable(last_error_) + " (tried for " + human_ns(tried) + ")";
  }
  fail_writes(!kernel_                  ? "the monitor never attached"
              : workload_start_ns_ == 0 ? "the workload did not start"
                                        : "the VM ended before its time came",
              facts);
  if (options_.watchdog_timeout_ns && (!watchdog_ || !watchdog_->done())) {
    facts.watchdog = WatchdogSetT{};
    facts.watchdog->error = !writer_error_.empty() ? writer_error_
                            : !kernel_             ? "the monitor never attached"
                                                   : "no scheduler was seen enabled";
  }
  facts.stopped = std::move(stopped);
  return facts;
}

}  // namespace ktstr
