// The VM that a test runs now, from QEMU's start to QEMU's end: its stages and their deadlines, the debugger that may hold it, the
// dump of its memory. One object serves the VMs of a test one after another. What happened goes onto the bus (VmStarted,
// GuestMemoryDumped); what follows from it the test decides (run_session).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "launcher/run/deadlines.h"
#include "launcher/run/guest_dump.h"
#include "launcher/run/run_bus.h"
#include "launcher/run/run_environment.h"
#include "launcher/run/vm_session.h"
#include "schemas/envelope.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {

class VmInHand {
 public:
  // Whose VMs these are. All of it outlives this.
  struct Place {
    const TestSpecT& spec;
    RunEnvironment& env;
    EventLoop& loop;
    RunBus& bus;
    std::string run_id;
    std::string bus_folder;
    std::string folder;  // of the test's files
    double time_scale = 1;
  };
  explicit VmInHand(Place place) : place_(std::move(place)) {}

  // The one before must have been released. False: QEMU did not start, exited() says why. REQUIRES: main thread.
  bool boot(Vm vm, uint8_t attempt, const ProbePlanT* plan);
  bool running() const { return running_; }
  Vm vm() const { return vm_; }
  uint8_t attempt() const { return attempt_; }
  Stage stage() const { return stage_; }
  // QEMU refused to start (a bad option, an old version): no carrier was ever connected, none will be drained.
  bool never_spoke() const { return stage_ == Stage::NotStarted && qemu_exit_.exit_code != 0; }

  // Its own events: true, and the guest's clock is that of the event.
  bool hear(const EventBuffer& event);
  void on_stage(Stage stage);
  void on_held(const VmHeld& held);

  struct Surroundings {
    bool collector_stopped = false;  // what the guest says is not heard for now
    bool monitor_alive = true;
    bool interrupted = false;
    std::string end_for;  // why it is to be ended although it did no wrong; empty: it is not
  };
  // What QEMU and the clock say; to be called often. Ends the VM when its time is up.
  void look(const Surroundings& now);
  void kill();

  VmExitedT exited(bool interrupted) const;
  // What was unusual for a guest that is to be judged: "QEMU: was stopped by a signal for 1.2 s".
  std::vector<std::string> disturbances() const;
  // In which a debugger had it, all VMs so far; ns.
  uint64_t held_ns() const { return held_before_ns_ + held_ns_; }
  // Frees the guest's RAM.
  void release() { session_.reset(); }

 private:
  void look_at_waits(const Surroundings& now);
  void watch(const Surroundings& now);
  bool watch_control(bool interrupted);
  void ended();
  void say_gdb();
  bool waits_for_gdb() const { return place_.env.gdb && place_.env.gdb->waits && vm_ == Vm::Primary; }
  bool wants_dump(bool died) const;
  void begin_dump(const std::string& reason);
  void tell_dump(GuestDump::End end);
  DeadlineOptions deadlines() const;
  uint64_t now() const { return place_.env.clock->monotonic_ns(); }

  Place place_;
  std::unique_ptr<VmSession> session_;
  bool running_ = false;
  std::vector<int> fds_;  // of its process, in the loop
  Vm vm_ = Vm::Primary;
  uint8_t attempt_ = 0;
  uint64_t start_ns_ = 0;
  Stage stage_ = Stage::NotStarted;
  FairWait stage_wait_;
  uint64_t guest_ns_ = 0,
           stage_guest_ns_ = 0;  // the guest's clock: the newest that was heard, and at its stage
  uint64_t last_look_ns_ = 0, qemu_stopped_ns_ = 0;
  bool held_ = false;                          // a debugger has it
  uint64_t held_before_ns_ = 0, held_ns_ = 0;  // before the guest ran for the first time; later
  bool ran_ = false;
  bool held_at_gate_ = false;  // the monitor has stopped the VM, for gdb
  std::string guest_end_;      // QEMU's reason why the guest ended, while QEMU waits
  bool quitting_ = false;      // QEMU was told to end
  GuestDump dump_;
  std::string deadline_;  // the one that passed
  QemuExit qemu_exit_;
  std::string boot_error_;
  std::string ended_for_;  // why we ended it although it had done no wrong
};

}  // namespace ktstr
