#include "monitor/monitor_role.h"

#include <CLI/CLI.hpp>

#include "monitor/inspect.h"
#include "monitor/vcpu_threads.h"

namespace ktstr {
namespace {

void publish(MonitorSession::Facts facts, std::pair<Vm, uint8_t> vm, Context& context) {
  if (facts.attached) context.publish(std::move(*facts.attached), vm.first, vm.second);
  if (facts.sample) {
    const uint64_t guest_ns = facts.sample->guest_clock_ns;
    context.publish(std::move(*facts.sample), vm.first, vm.second, guest_ns);
  }
  if (facts.unavailable) context.publish(std::move(*facts.unavailable), vm.first, vm.second);
  if (facts.stopped) context.publish(std::move(*facts.stopped), vm.first, vm.second);
}

}  // namespace

void MonitorRole::add_options(CLI::App& app) {
  app.add_option("--period-ms", period_ms_, "time between samples")
      ->check(CLI::Range(0.1, 60000.0))
      ->capture_default_str();
  app.add_option("--ram", ram_path_, "print what a guest's RAM file holds, and end");
  app.add_option("--samples", inspect_samples_, "with --ram: how many samples")->capture_default_str();
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
  seam_ = {&clock_, open_ram_file, [](uint32_t pid) { return read_vcpu_threads(pid); }};
  const auto period_ns = static_cast<uint64_t>(period_ms_ * 1e6);
  Watched& watched = watched_[vm];
  watched.session = std::make_unique<MonitorSession>(started, seam_, layouts_,
                                                     MonitorSession::Options{.period_ns = period_ns});
  watched.timer = context.every(std::chrono::nanoseconds(period_ns), [this, vm, &context] {
    const auto it = watched_.find(vm);
    if (it != watched_.end()) publish(it->second.session->tick(), vm, context);
  });
}

void MonitorRole::stop(VmKey vm, const std::string& reason, Context& context) {
  const auto it = watched_.find(vm);
  if (it == watched_.end()) return;
  context.cancel(it->second.timer);
  publish(it->second.session->stop(reason), vm, context);
  watched_.erase(it);
}

void MonitorRole::on_stop(Context& context) {
  while (!watched_.empty()) stop(watched_.begin()->first, "the run has ended", context);
}

}  // namespace ktstr
