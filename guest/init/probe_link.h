// Init's side of ktstr-probe (guest/probe): starts it, forwards its events, reports what happens to it. When it is
// missing, dies or hangs, the run goes on without it.
//
// argv: /ktstr/probe --plan /ktstr/plan.bin --events-fd E --control-fd C
// E: pipe; the probe writes finished frames (schemas/channel_frame.h), whole ones are passed on.
// C: SOCK_SEQPACKET; one message each:
//   probe -> init  'K'  kernel probes are placed (or there are none): the scheduler may start
//   init -> probe  'L' + u32 pid, with the filter's listener as SCM_RIGHTS: answer its notifications
//   probe -> init  'P'  the scheduler's programs were seen
//   init -> probe  'F'  the run is over: send what is left
//   probe -> init  'D'  done; it sleeps from then on and never detaches
// Init keeps the listener too. If the probe dies, or leaves a notification unanswered too long, init kills it
// and lets every waiting call go on itself.
#pragma once

#include <functional>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
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

  // False when there is no probe program. `hang_ns`: how long a notification may stay unanswered.
  bool start(uint64_t hang_ns);

  bool started() const { return pid_ > 0; }
  bool alive() const { return alive_; }
  bool kernel_probes_placed() const { return kernel_placed_; }
  bool done() const { return done_ || !alive_; }
  pid_t pid() const { return pid_; }

  // The scheduler was forked; `listener` stays the caller's.
  void scheduler_started(pid_t pid, int listener);
  // No more notifications can come.
  void scheduler_ended();
  void finish();
  // It will not come back: kills it, and answers the listener from now on.
  void give_up(const std::string& why);
  // The reaper found it.
  void on_end(int wait_status);
  // Looks for a hung notification. Called regularly.
  void tick();

 private:
  void on_events();
  void on_control();
  void answer_ourselves();
  bool events_readable() const;

  EventLoop& loop_;
  EventChannel& channel_;
  Hooks hooks_;
  UniqueFd events_, control_;
  FrameDecoder decoder_;
  pid_t pid_ = -1;
  pid_t scheduler_ = -1;
  int listener_ = -1;
  bool alive_ = false, kernel_placed_ = false, done_ = false, answering_ = false;
  uint64_t hang_ns_ = 0;
  uint64_t waiting_since_ns_ = 0;  // 0: no notification is open
  std::string scheduler_ran_;      // its /proc schedstat at the last look
};

}  // namespace ktstr::guest
