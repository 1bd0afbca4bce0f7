#include "reporter/run_model.h"

#include "reporter/repro_words.h"
#include "schemas/client_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/unpack.h"
#include "scx/error_pin.h"

namespace ktstr {
namespace {

// A command in the guest has a name of its own; the guest may say any, so where it comes from is told.
std::string line_source(std::string_view command, std::string_view source) {
  return command.empty() ? std::string(source) : std::string(command.substr(0, 64)) + " (guest)";
}

std::string end_text(const GuestCommandExited& end) {
  std::string text = end.signal() != 0 ? "ended by signal " + std::to_string(end.signal())
                                       : "ended, exit code " + std::to_string(end.exit_code());
  return end.error() ? text + ": " + std::string(str(end.error())) : text;
}

}  // namespace

RunModel::~RunModel() = default;

RunModel::RunModel() : primary_(std::make_unique<VmRecord>(VmRecord::Options{})) {}

void RunModel::start(const RunStarted& started) {
  if (run_) return;  // the first one counts
  run_ = unpack<RunStartedT>(started);
  if (run_->determinism) order_ = std::make_unique<GuestOrder>();
  primary_ = std::make_unique<VmRecord>(VmRecord::Options{.primary = true,
                                                          .verbose = verbose(),
                                                          .scx = run_->spec->scheduler != nullptr,
                                                          .thresholds = MonitorThresholds::of(*run_->spec)});
  const TestSpecT& spec = *run_->spec;
  primary_->expect(spec);
  corpus_ = PinCorpus(pins_of(spec).any());
}

VmRecord& RunModel::record_for(const EventBuffer& event) {
  if (event.vm() != Vm::Repro) return *primary_;
  bool next_try = event.type() == Payload::VmStarted && repro_ && repro_->boot.started;
  if (!repro_ || next_try) {
    repro_ = std::make_unique<VmRecord>(
        VmRecord::Options{.primary = false, .verbose = false, .scx = !run_ || spec().scheduler != nullptr});
    probes_.reset();
    probes_finished_.reset();
  }
  return *repro_;
}

bool RunModel::fold(const EventBuffer& event) {
  if (complete_) return true;
  ++events_;
  if (event.seq() > last_seq_ + 1) missing_events_ += event.seq() - last_seq_ - 1;
  last_seq_ = event.seq();
  if (!order_) return fold_in_order(event);
  stream_.add(event);
  if (order_->hold(event)) return false;
  if (event.type() == Payload::VmSettled || event.type() == Payload::FactsCompleted) fold_held();
  return fold_in_order(event);
}

void RunModel::fold_held() {
  for (const EventBuffer& event : order_->take()) fold_in_order(event);
}

bool RunModel::fold_in_order(const EventBuffer& event) {
  switch (event.type()) {
    case Payload::RunStarted:
      start(*event.as<RunStarted>());
      break;
    case Payload::HelperStarted:
    case Payload::Verdict:
    case Payload::RunFinished:
    case Payload::BpfBtf:
    case Payload::ProbeHit:
      break;
    case Payload::HelperExited:
      if (auto* helper = event.as<HelperExited>(); !helper->expected() && lost_helpers_.size() < 64)
        lost_helpers_.push_back(unpack<HelperExitedT>(*helper));
      break;
    case Payload::ClientRefused:
      clients_.refused(*event.as<ClientRefused>());
      break;
    case Payload::ProducerHeld:
      clients_.held(str(event->source()), *event.as<ProducerHeld>());
      break;
    case Payload::RunInterrupted:
      if (!interrupted_) interrupted_ = event.as<RunInterrupted>()->signal();
      break;
    case Payload::TestSkipped:
      skipped_ = event.as<TestSkipped>()->reason()->str();
      break;
    case Payload::FactsCompleted:
      complete_ = true;
      completion_note_ = str(event.as<FactsCompleted>()->note());
      return true;
    case Payload::CollectorLine: {
      if (event.vm() == Vm::Repro) break;
      const auto& line = *event.as<CollectorLine>();
      const std::string shown = line_source(str(line.name()), str(event->source()));
      const std::string_view source = line.name() ? str(line.name()) : str(event->source());
      if (!metrics_.line(Moment::of(event), source, shown, str(line.text())))
        primary_->timeline.collector_line(Moment::of(event), str(line.text()), shown);
      break;
    }
    case Payload::MetricsDeclared:
      metrics_.declare(str(event.as<MetricsDeclared>()->name()));
      break;
    case Payload::GuestCommandExited:
      if (event.vm() == Vm::Repro) break;
      primary_->timeline.collector_line(Moment::of(event), end_text(*event.as<GuestCommandExited>()),
                                        line_source(str(event.as<GuestCommandExited>()->name()), ""));
      break;
    case Payload::ReproRequested:
      repro_requested_ = true;
      break;
    case Payload::ReproDeclined:
      repro_declined_ = decline_words(unpack<ReproDeclinedT>(*event.as<ReproDeclined>()));
      break;
    case Payload::ReproFinished:
      repro_finished_ = unpack<ReproFinishedT>(*event.as<ReproFinished>());
      break;
    case Payload::SignatureKnown:
      known_ = unpack<SignatureKnownT>(*event.as<SignatureKnown>());
      break;
    case Payload::ProbeAttached:
      if (event.vm() == Vm::Repro) probes_ = unpack<ProbeAttachedT>(*event.as<ProbeAttached>());
      break;
    case Payload::ProbeFinished:
      if (event.vm() == Vm::Repro) probes_finished_ = unpack<ProbeFinishedT>(*event.as<ProbeFinished>());
      break;
    case Payload::SchedulerLine:
    case Payload::DumpLine:
      if (event.vm() == Vm::Primary) corpus_.fold(event);
      record_for(event).fold(event);
      break;
    default:
      record_for(event).fold(event);
  }
  return false;
}

void RunModel::finish() {
  if (order_) {
    fold_held();
    stream_hash_ = stream_.hex();
  }
  primary_->finish();
  if (repro_) repro_->finish();
}

std::string RunModel::switch_value(std::string_view name) const {
  if (run_)
    for (const auto& pair : run_->environment)
      if (pair->key == name) return pair->value;
  return {};
}

bool RunModel::backtrace() const {
  std::string value = switch_value("RUST_BACKTRACE");
  return value == "1" || value == "full";
}

bool RunModel::verbose() const {
  std::string value = switch_value("KTSTR_VERBOSE");
  return backtrace() || value == "1";
}

}  // namespace ktstr
