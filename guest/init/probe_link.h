// Init's side of ktstr-probe (guest/probe): starts it, forwards its events, reports what happens to it. When it is
// missing, dies or hangs, the run goes on without it.
//
// argv: /ktstr/probe --plan /ktstr/plan.bin --events-fd E --control-fd C [--for-template 1]
// E: pipe; the probe writes finished frames (schemas/channel_frame.h), whole ones are passed on.
// C: SOCK_SEQPACKET; one message each:
//   probe -> init  'W'  it waits for its plan
//   init -> probe  'B'  the plan is there
//   probe -> init  'K'  kernel probes are placed (or there are none): the scheduler may start
//   init -> probe  'L'  the scheduler was started; the filter's listener as SCM_RIGHTS
//   init -> probe  'C'  an AttachCall (schemas/attach_call.h) waits: look at it, and answer it through the listener
//   probe -> init  'P'  the scheduler's programs were seen
//   init -> probe  'E'  a scheduler was enabled whose programs were not seen: look for them
//   probe -> init  'S'  looked
//   init -> probe  'F'  the run is over: send what is left
//   probe -> init  'D'  done; it sleeps from then on and never detaches
// The attach gate (attach_gate.h) receives the notifications: if the probe dies, or leaves one unanswered too long, every
// waiting call goes on.
#pragma once

#include <functional>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "guest/init/attach_gate.h"
#include "guest/init/event_channel.h"
#include "schemas/frame_codec.h"

namespace ktstr::guest {

class ProbeLink {
 public:
  struct Hooks {
    std::function<void()> programs_seen;
    std::function<void(const std::string&)> note;  // something went wrong, for a person
  };
  ProbeLink(EventLoop& loop, EventChannel& channel, Hooks hooks)
      : loop_(loop), channel_(channel), hooks_(std::move(hooks)) {}

  // Starts the program. `for_template`: it reads what is the same for every test before it waits for its plan.
  void start(bool for_template);
  bool waiting() const { return waiting_ || !alive_; }
  // The plan is there. Starts the program if it was not. `hang_ns`: how long the scheduler's attach may wait for it. False
  // when there is no such program.
  bool begin(uint64_t hang_ns);
  // This test has no use for it. Nothing is done when begin() was called.
  void dismiss();

  bool begun() const { return begun_; }
  bool alive() const { return alive_; }
  bool kernel_probes_placed() const { return kernel_placed_; }
  bool done() const { return done_ || !alive_; }
  pid_t pid() const { return pid_; }

  // The scheduler was forked under the filter with this listener.
  void scheduler_started(UniqueFd listener);
  // sched_ext says `enabled`: nothing is held any more, and programs that were not seen are looked for. looked() holds when
  // this is done.
  void scheduler_enabled();
  bool looked() const { return !looking_ || done(); }
  void finish();
  // It will not come back: kills it, and lets the scheduler go on.
  void give_up(const std::string& why);
  // The reaper found it.
  void on_end(int wait_status);
  // Looks for a call that waited too long. Called regularly.
  void tick();

 private:
  void on_events();
  void on_control();
  static bool hand_over(void* control, const AttachCall& call);
  bool tell(char letter) const;
  bool events_readable() const;

  EventLoop& loop_;
  EventChannel& channel_;
  Hooks hooks_;
  UniqueFd events_, control_;
  FrameDecoder decoder_;
  AttachGate gate_;
  int control_number_ = -1;  // of control_, for the gate's thread
  pid_t pid_ = -1;
  bool alive_ = false, waiting_ = false, begun_ = false, kernel_placed_ = false, done_ = false;
  bool programs_seen_ = false;  // of the scheduler that is being enabled
  bool looking_ = false;
  uint64_t hang_ns_ = 0;
};

}  // namespace ktstr::guest
