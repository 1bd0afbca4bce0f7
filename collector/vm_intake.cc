#include "collector/vm_intake.h"

#include "base/log.h"
#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr uint64_t kLineOverhead = 160;  // an empty line's event in the log

}  // namespace

VmIntake::VmIntake(IntakeOptions options)
    : options_(std::move(options)),
      gate_({.run_id = options_.head().run_id, .vm = options_.vm, .attempt = options_.attempt}) {}

EventHead VmIntake::head(uint64_t guest_ns) const {
  EventHead head = options_.head();
  head.vm = options_.vm;
  head.attempt = options_.attempt;
  head.guest_ns = guest_ns;
  return head;
}

void VmIntake::emit(EventBuffer event) {
  detector_.on_event(event);
  options_.publish(std::move(event));
}

void VmIntake::on_console(std::string_view bytes) {
  if (!heard_ && !bytes.empty()) {
    heard_ = true;
    StageReachedT stage;
    stage.stage = Stage::KernelStarted;
    emit(make_event(head(0), std::move(stage)));
  }
  console_bytes_ += bytes.size();
  console_.feed(bytes, [this](std::string_view text, bool truncated) { on_line(text, truncated); });
}

void VmIntake::on_line(std::string_view text, bool truncated) {
  console_bytes_ += kLineOverhead;
  if (console_bytes_ > options_.max_console_bytes) {
    ++console_dropped_;
    return;
  }
  ConsoleLineT line;
  line.text = text;
  line.truncated = truncated;
  emit(make_event(head(split_stamp(text).guest_ns), std::move(line)));
  tell_faults(false);
}

void VmIntake::tell_faults(bool at_end) {
  for (ReadFault& read : detector_.take_faults(at_end))
    options_.publish(make_event(head(read.guest_ns), std::move(read.fault)));
}

void VmIntake::on_channel(std::span<const uint8_t> bytes) {
  decoder_.feed(bytes);
  on_frames();
}

void VmIntake::on_frames() {
  while (auto payload = decoder_.next()) {
    auto event = gate_.admit(*payload, options_.head().host_ns);
    if (!event) continue;
    guest_finished_ = guest_finished_ || event->type() == Payload::GuestFinished;
    emit(std::move(*event));
  }
}

void VmIntake::end_console() {
  if (console_ended_) return;
  console_ended_ = true;
  console_.flush([this](std::string_view text, bool truncated) { on_line(text, truncated); });
}

void VmIntake::end_channel() {
  if (channel_ended_) return;
  channel_ended_ = true;
  decoder_.finish();
  on_frames();
}

void VmIntake::finish(const std::string& note) {
  tell_faults(true);
  if (auto crash = detector_.result()) options_.publish(make_event(head(0), std::move(*crash)));
  CollectorDrainedT drained;
  drained.console_lines = console_.lines();
  drained.frames = decoder_.frames();
  drained.bad_frames = decoder_.damaged();
  drained.refused_events = gate_.refused();
  if (gate_.refused() != 0)
    log_info(std::to_string(gate_.refused()) +
             " events of the guest rejected, the first: " + gate_.first_refusal());
  drained.lines_cut = console_.cut();
  auto add = [&](const std::string& text) { drained.note += (drained.note.empty() ? "" : "; ") + text; };
  if (!note.empty()) add(note);
  if (decoder_.damaged() != 0)
    add(std::to_string(decoder_.skipped_bytes()) + " bytes of the event channel were damaged or torn");
  if (gate_.refused() != 0) add("first rejected event: " + gate_.first_refusal());
  if (console_dropped_ != 0)
    add(std::to_string(console_dropped_) + " console lines above the limit were dropped");
  log_info(vm_name(options_.vm, options_.attempt) + " drained: " + std::to_string(drained.console_lines) +
           " console lines, " + std::to_string(drained.frames) + " frames, " +
           std::to_string(drained.bad_frames) + " damaged");
  options_.publish(make_event(head(0), std::move(drained)));
}

}  // namespace ktstr
