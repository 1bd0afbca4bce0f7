#include "reporter/html/run_picture.h"

#include <algorithm>

#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/workload_generated.h"
#include "scx/constants.h"

namespace ktstr {
namespace {

constexpr std::string_view kReproPrefix = "repro VM: ";
// A guest's clock that leaps further ahead of the host's than this is not believed.
constexpr uint64_t kMostLeapNs = 10'000'000'000;

}  // namespace

int64_t GuestClock::at(const EventBuffer& event, uint64_t stated) {
  const uint64_t host = event->stamp()->host_ns();
  uint64_t guest = stated != 0 ? stated : event->stamp()->guest_ns();
  const uint64_t passed = host > host_ns_ ? host - host_ns_ : 0;
  const uint64_t expected = known_ ? guest_ns_ + passed : host;
  const bool believed =
      guest != 0 && guest <= INT64_MAX && (!known_ || guest <= expected + 4 * passed + kMostLeapNs);
  if (!believed) return static_cast<int64_t>(std::min<uint64_t>(expected, INT64_MAX));
  if (!known_) {
    first_guest_ns_ = guest;
    first_host_ns_ = host;
  }
  if (!known_ || guest > guest_ns_) {
    known_ = true;
    guest_ns_ = guest;
    host_ns_ = host;
  }
  return static_cast<int64_t>(guest);
}

void TimedLines::push(int64_t guest_ns, std::string_view text) {
  ++total_;
  Line line{guest_ns, std::string(text.substr(0, kLineBytes))};
  const size_t bytes = line.text.size();
  if (!head_full_ && head_.size() < kLines && head_bytes_ + bytes <= kBytes) {
    head_bytes_ += bytes;
    head_.push_back(std::move(line));
    return;
  }
  head_full_ = true;
  tail_bytes_ += bytes;
  tail_.push_back(std::move(line));
  while (tail_.size() > kLines || tail_bytes_ > kBytes) {
    tail_bytes_ -= tail_.front().text.size();
    tail_.pop_front();
  }
}

void RunPicture::line(std::string name, bool repro, int64_t at, const flatbuffers::String* text) {
  name = (repro ? std::string(kReproPrefix) : std::string()) + name.substr(0, 80);
  auto it = std::find_if(logs_.begin(), logs_.end(), [&](const Log& log) { return log.name == name; });
  if (it == logs_.end()) {
    if (logs_.size() >= kMostLogs) {
      ++logs_left_out_;
      return;
    }
    logs_.push_back({std::move(name), {}});
    it = logs_.end() - 1;
  }
  it->lines.push(at, str(text));
}

void RunPicture::fold(const EventBuffer& event) {
  const bool repro = event.vm() == Vm::Repro;
  const auto* sample = event.as<MonitorSample>();
  if (repro && event.type() == Payload::VmStarted) {  // the last try is shown
    std::erase_if(logs_, [](const Log& log) { return log.name.starts_with(kReproPrefix); });
    repro_clock_ = {};
  }
  if (const auto* declared = event.as<MetricsDeclared>())
    return metric_sources_.declare(str(declared->name()));
  if (event.vm() == Vm::Host && event.type() != Payload::CollectorLine) return;
  const int64_t at = (repro ? repro_clock_ : primary_clock_)
                         .at(event, sample && event->stamp()->guest_ns() == 0 ? sample->guest_clock_ns() : 0);
  switch (event.type()) {
    case Payload::MonitorSample:
      if (repro) return;
      samples_.fold(*sample, at);
      if (exit_ns_ == 0 && sample->exit_kind() >= kScxExitError) exit_ns_ = at;
      return;
    case Payload::ConsoleLine:
      return line("console", repro, at, event.as<ConsoleLine>()->text());
    case Payload::SchedulerLine:
      return line("scheduler", repro, at, event.as<SchedulerLine>()->text());
    case Payload::DumpLine:
      return line("sched_ext dump", repro, at, event.as<DumpLine>()->text());
    case Payload::PayloadLine:
      return line("payload " + std::string(str(event.as<PayloadLine>()->name())), repro, at,
                  event.as<PayloadLine>()->text());
    case Payload::CollectorLine: {
      const CollectorLine& said = *event.as<CollectorLine>();
      const std::string_view command = str(said.name());
      const std::string source(command.empty() ? str(event->source()) : command);
      if (!repro)
        for (const Metric& metric : metric_sources_.of(source, str(said.text())))
          metrics_.add(source, metric.name, at, metric.value);
      return line(source, repro, at, said.text());
    }
    default:
      return;
  }
}

}  // namespace ktstr
