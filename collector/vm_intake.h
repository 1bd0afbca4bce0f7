// Turns the bytes of one VM into events: console lines, channel frames, and at the end the crash and the counts of
// damage. Bytes in, events out; the adapter (collector_role.h) owns the sockets.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/line_splitter.h"
#include "collector/crash_detector.h"
#include "collector/guest_gate.h"
#include "schemas/envelope.h"
#include "schemas/frame_codec.h"

namespace ktstr {

struct IntakeOptions {
  Vm vm = Vm::Primary;
  uint8_t attempt = 0;
  // run_id, source and host_ns of "now".
  std::function<EventHead()> head;
  std::function<void(EventBuffer)> publish;
  uint64_t max_console_bytes = 256u << 20;  // of the log: text, and what each line costs beside it
};

class VmIntake {
 public:
  explicit VmIntake(IntakeOptions options);

  void set_accelerator(std::string name) { detector_.set_accelerator(std::move(name)); }
  void on_console(std::string_view bytes);
  void on_channel(std::span<const uint8_t> bytes);
  // The guest has sent GuestFinished: it waits for the acknowledgement before it powers off.
  bool guest_finished() const { return guest_finished_; }

  void end_console();
  void end_channel();
  bool ended() const { return console_ended_ && channel_ended_; }
  // After both ends: publishes CrashDetected if there was a crash, then CollectorDrained. `note`: what the
  // adapter has to add ("the event channel was never connected").
  void finish(const std::string& note = {});

 private:
  void on_line(std::string_view text, bool truncated);
  void on_frames();
  void emit(EventBuffer event);
  void tell_faults(bool at_end);
  EventHead head(uint64_t guest_ns) const;

  IntakeOptions options_;
  LineSplitter console_{4096};
  FrameDecoder decoder_;
  GuestGate gate_;
  CrashDetector detector_;
  bool heard_ = false, guest_finished_ = false;
  bool console_ended_ = false, channel_ended_ = false;
  uint64_t console_bytes_ = 0, console_dropped_ = 0;
};

}  // namespace ktstr
