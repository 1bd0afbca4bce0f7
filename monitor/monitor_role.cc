#include "monitor/monitor_role.h"

#include "base/json.h"
#include "base/log.h"
#include "base/small_files.h"
#include "base/text.h"
#include "monitor/inspect.h"
#include "monitor/vcpu_threads.h"
#include "schemas/event_generated.h"
#include "schemas/event_json.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

// A folder that the run keeps holds the log.
std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? "." : path.substr(0, slash);
}

// The last early one is kept: the longest wait.
std::string artifact_name(std::pair<Vm, uint8_t> vm, const GuestFrozenT& frozen, uint64_t guest_ns) {
  return std::string(frozen.early ? "frozen.early" : "frozen") +
         (frozen.observed ? ".at." + std::to_string(guest_ns) : "") +
         (vm.first == Vm::Repro ? ".repro" + std::to_string(vm.second) : "") + ".json";
}

Status write_artifact(const std::string& path, const EventBuffer& event) {
  // Not synced: the monitor would miss samples meanwhile.
  return write_file_atomically(path, json_text(event_json(event), 1) + "\n", {.sync = false});
}

}  // namespace

void MonitorRole::add_options(OptionSet& options) {
  options.number("--period-ms", period_ms_, 0.1, 60000, "time between samples");
  options.number("--watch-ms", watch_ms_, 0.1, 60000, "time between two checks whether the scheduler died");
  options.text("--artifacts", artifacts_, "folder for frozen.json (default: the log's)");
  options.text("--ram", ram_path_, "print what a guest's RAM file holds, and end");
  options.count("--samples", inspect_samples_, "with --ram: how many samples");
}

std::optional<int> MonitorRole::run_standalone() {
  if (ram_path_.empty()) return std::nullopt;
  return inspect_ram(
      {.path = ram_path_, .samples = inspect_samples_, .period_ns = static_cast<uint64_t>(period_ms_ * 1e6)},
      clock_);
}

void MonitorRole::on_event(const EventBuffer& event, Context& context) {
  const Stamp& stamp = *event->stamp();
  const VmKey vm{stamp.vm(), stamp.attempt()};
  switch (event.type()) {
    case Payload::RunStarted: {
      TestSpecT spec;
      event.as<RunStarted>()->spec()->UnPackTo(&spec);
      for (const auto& write : spec.bpf_map_write) writes_.push_back(*write);
      watchdog_timeout_ns_ = spec.watchdog_timeout_ns;
      break;
    }
    case Payload::StageReached:
      on_stage(vm, event.as<StageReached>()->stage());
      break;
    case Payload::SchedulerStarted:
      if (const auto it = watched_.find(vm); it != watched_.end())
        it->second.session->scheduler_started(static_cast<int>(event.as<SchedulerStarted>()->pid()));
      break;
    case Payload::VmStarted:
      start(vm, *event.as<VmStarted>(), context);
      break;
    case Payload::VmExited:
      stop(vm, "the VM has ended", context);
      break;
    case Payload::RunFinished:
      on_stop(context);
      break;
    default:
      break;
  }
}

void MonitorRole::start(VmKey vm, const VmStarted& started, Context& context) {
  if (watched_.contains(vm)) stop(vm, "the VM was started again", context);
  seam_ = {.clock = &clock_,
           .open_ram = open_ram_file,
           .vcpu_threads = [](uint32_t pid) { return read_vcpu_threads(pid); },
           .open_hold = [](const std::string& path) { return open_qmp_hold(path); },
           .open_writer = open_ram_writer};
  if (!str(started.gate_path()).empty()) return start_at_gate(vm, started, context);
  const auto period_ns = static_cast<uint64_t>(period_ms_ * 1e6);
  log_info("watching the RAM of the " + vm_name(vm.first, vm.second) + ": " +
           std::string(str(started.ram_path())));
  Watched& watched = watched_[vm];
  MonitorSession::Options options{.period_ns = period_ns};
  options.writes = writes_;
  options.watchdog_timeout_ns = watchdog_timeout_ns_;
  watched.session = std::make_unique<MonitorSession>(started, seam_, layouts_, std::move(options));
  watched.timer = context.every(std::chrono::nanoseconds(period_ns), [this, vm, &context] {
    const auto it = watched_.find(vm);
    if (it != watched_.end()) publish(it->second.session->tick(), vm, context);
  });
  const auto watch_ns = static_cast<uint64_t>(watch_ms_ * 1e6);
  watched.watch_timer = context.every(std::chrono::nanoseconds(watch_ns), [this, vm, &context] {
    const auto it = watched_.find(vm);
    if (it != watched_.end()) publish(it->second.session->watch(), vm, context);
  });
}

void MonitorRole::start_at_gate(VmKey vm, const VmStarted& started, Context& context) {
  auto gate = GateWatch::open(std::string(str(started.gate_path())));
  // The launcher opens the gate for good when we are gone, not before: better a monitor that is missed than a VM that waits.
  if (!gate) {
    log_error(gate.error().message());
    return context.stop(1);
  }
  Watched& watched = watched_[vm];
  watched.gate = std::move(gate).value();
  watched.clock = std::make_unique<GuestClock>();
  watched.seam = {.clock = watched.clock.get(),
                  .open_ram = open_ram_file,
                  .vcpu_threads = {},
                  .open_hold = [](const std::string&) -> Result<std::unique_ptr<VmHold>> {
                    return std::unique_ptr<VmHold>(std::make_unique<GateHold>());
                  },
                  .open_writer = open_ram_writer};
  MonitorSession::Options options{.period_ns = static_cast<uint64_t>(period_ms_ * 1e6)};
  options.writes = writes_;
  options.watchdog_timeout_ns = watchdog_timeout_ns_;
  watched.session = std::make_unique<MonitorSession>(started, watched.seam, layouts_, std::move(options));
  if (started.observe_ns())
    watched.observe_ns.assign(started.observe_ns()->begin(), started.observe_ns()->end());
  watched.hold_at_ns = started.hold_at_ns();
  watched.qmp_path = str(started.qmp_path());
  context.watch(watched.gate->fd(), [this, vm, &context] { at_gate(vm, context); });
}

void MonitorRole::at_gate(VmKey vm, Context& context) {
  const auto it = watched_.find(vm);
  if (it == watched_.end()) return;
  Watched& watched = it->second;
  const auto bell = watched.gate->take();
  if (!bell) return;
  watched.clock->set(bell->guest_ns);
  if (bell->stage >= Stage::WorkloadStarted) watched.session->workload_started();
  if (bell->stage >= Stage::WorkloadFinished) watched.session->workload_finished();
  std::vector<MonitorSession::Facts> facts;
  if (bell->guest_ns >= watched.next_sample_ns) {
    watched.next_sample_ns = bell->guest_ns + static_cast<uint64_t>(period_ms_ * 1e6);
    facts.push_back(watched.session->tick());
  }
  facts.push_back(watched.session->watch());
  bool asked = false;
  while (!watched.observe_ns.empty() && watched.observe_ns.front() <= bell->guest_ns) {
    watched.observe_ns.erase(watched.observe_ns.begin());
    asked = true;
  }
  if (asked) facts.push_back(watched.session->observe());
  watched.gate->let_go();
  if (watched.hold_at_ns != 0) hold_at_gate(vm, watched, bell->guest_ns, context);
  for (auto& some : facts) publish(std::move(some), vm, context);
}

// Behind the gate: at it the thread of all vCPUs holds QEMU's lock, so that QEMU takes no command.
void MonitorRole::hold_at_gate(VmKey vm, Watched& watched, uint64_t guest_ns, Context& context) {
  constexpr uint64_t kConnectBefore = 200'000'000;
  constexpr int kAnswerMs = 5000;
  if (guest_ns + kConnectBefore < watched.hold_at_ns) return;
  VmHeldT held;
  held.gate_ns = guest_ns;
  if (!watched.qmp) {
    auto qmp = QmpClient::connect(watched.qmp_path, kAnswerMs);
    if (qmp)
      watched.qmp = std::move(qmp).value();
    else
      held.error = qmp.error().message();
  }
  if (watched.qmp && guest_ns < watched.hold_at_ns) return;
  if (watched.qmp)
    if (const Status stopped = watched.qmp->stop(); !stopped) held.error = stopped.error().message();
  watched.hold_at_ns = 0;
  watched.qmp.reset();  // QEMU speaks with one client at a time
  context.publish(std::move(held), vm.first, vm.second, guest_ns);
}

void MonitorRole::on_stage(VmKey vm, Stage stage) {
  const auto it = watched_.find(vm);
  if (it == watched_.end() || it->second.gate) return;
  if (stage == Stage::WorkloadStarted) it->second.session->workload_started();
  if (stage >= Stage::WorkloadFinished) it->second.session->workload_finished();
}

void MonitorRole::publish(MonitorSession::Facts facts, VmKey vm, Context& context) {
  const auto clock = watched_.find(vm);
  const uint64_t now =
      clock != watched_.end() && clock->second.gate ? clock->second.clock->monotonic_ns() : 0;
  const auto say = [&](auto fact) { context.publish(std::move(fact), vm.first, vm.second, now); };
  if (facts.attached) {
    log_info("attached to the kernel of the " + vm_name(vm.first, vm.second));
    say(std::move(*facts.attached));
  }
  if (facts.watchdog) say(std::move(*facts.watchdog));
  if (facts.frozen) {
    log_info(vm_name(vm.first, vm.second) + ": queues are read (" + facts.frozen->reason +
             "), the VM was paused for " + human_ns(facts.frozen->held_ns) +
             (facts.frozen->note.empty() ? "" : " (" + facts.frozen->note + ")"));
    const std::string name = artifact_name(vm, *facts.frozen, now);
    const std::string folder = artifacts_.empty() ? folder_of(context.log_path()) : artifacts_;
    facts.frozen->artifact = name;
    EventHead head = context.head();
    head.vm = vm.first;
    head.attempt = vm.second;
    if (auto status = write_artifact(folder + "/" + name, make_event(head, *facts.frozen)); !status) {
      log_info(status.error().message());
      facts.frozen->artifact.clear();
      facts.frozen->note += (facts.frozen->note.empty() ? "" : "; ") + status.error().message();
    }
    say(std::move(*facts.frozen));
  }
  for (MapWrittenT& written : facts.written) say(std::move(written));
  if (facts.sample) {
    const uint64_t guest_ns = facts.sample->guest_clock_ns;
    context.publish(std::move(*facts.sample), vm.first, vm.second, guest_ns);
  }
  if (facts.unavailable) {
    log_info(vm_name(vm.first, vm.second) + ": cannot be watched: " + facts.unavailable->reason);
    say(std::move(*facts.unavailable));
  }
  if (facts.stopped) {
    log_info(vm_name(vm.first, vm.second) + ": " + std::to_string(facts.stopped->samples) + " samples, " +
             std::to_string(facts.stopped->failed) + " failed");
    for (const auto& part : facts.stopped->parts_failed)
      log_info(vm_name(vm.first, vm.second) + ": walk of " + part->name + " failed " +
               std::to_string(part->value) + " times");
    say(std::move(*facts.stopped));
  }
}

void MonitorRole::stop(VmKey vm, const std::string& reason, Context& context) {
  const auto it = watched_.find(vm);
  if (it == watched_.end()) return;
  log_info(vm_name(vm.first, vm.second) + ": ending: " + reason);
  if (it->second.gate) {
    context.unwatch(it->second.gate->fd());
  } else {
    context.cancel(it->second.timer);
    context.cancel(it->second.watch_timer);
  }
  auto last = it->second.session->stop(reason);
  if (it->second.gate && it->second.gate->leaks() != 0 && last.stopped) {
    auto leaks = std::make_unique<CounterT>();
    leaks->name = "standing still";
    leaks->value = static_cast<int64_t>(it->second.gate->leaks());
    last.stopped->parts_failed.push_back(std::move(leaks));
  }
  publish(std::move(last), vm, context);
  watched_.erase(it);
}

void MonitorRole::on_stop(Context& context) {
  while (!watched_.empty()) stop(watched_.begin()->first, "the run has ended", context);
}

}  // namespace ktstr
