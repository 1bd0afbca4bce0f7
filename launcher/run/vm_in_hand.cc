#include "launcher/run/vm_in_hand.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "launcher/run/run_facts.h"
#include "launcher/vm/qemu_command.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

// Deadlines of a deterministic VM are in guest time; on the host they are so many times longer, for a guest that says nothing.
constexpr uint64_t kHostFactor = 10;
// The monitor's own pauses are shorter.
constexpr uint64_t kNotableHold = 100 * kMs;

}  // namespace

DeadlineOptions VmInHand::deadlines() const {
  DeadlineOptions options{.time_scale = place_.time_scale};
  if (place_.env.boot_limit_ns != 0) options.boot_ns = place_.env.boot_limit_ns;
  return options;
}

bool VmInHand::boot(Vm vm, uint8_t attempt, const ProbePlanT* plan) {
  const RunEnvironment& env = place_.env;
  vm_ = vm;
  attempt_ = attempt;
  stage_ = Stage::NotStarted;
  deadline_.clear();
  boot_error_.clear();
  ended_for_.clear();
  qemu_exit_ = {};
  start_ns_ = last_look_ns_ = now();
  qemu_stopped_ns_ = 0;
  const bool gdb = waits_for_gdb();
  held_ = gdb;
  held_ns_ = 0;
  ran_ = !gdb;
  guest_end_.clear();
  dump_.reset();
  quitting_ = false;
  guest_ns_ = stage_guest_ns_ = 0;
  stage_wait_.begin(start_ns_);
  env.progress->step(place_.spec.name + ": starting " +
                     (vm == Vm::Primary ? "the VM on " : "the repro VM on ") + env.kernel.release);

  VmRequest request = vm_request(env);
  request.vm = vm;
  request.attempt = attempt;
  request.spec = &place_.spec;
  request.probe_plan = plan;
  request.files = env.recorded ? &env.recorded->files : nullptr;
  request.run_id = place_.run_id;
  request.bus_folder = place_.bus_folder;
  request.time_scale = place_.time_scale;
  request.boot_ns = deadline_after(Stage::NotStarted, place_.spec, deadlines()).limit_ns;
  request.own_view = env.own_view;
  if (env.determinism) {
    request.determinism = &*env.determinism;
    request.templates = nullptr;
  }
  if (vm == Vm::Primary) request.gdb = env.gdb;
  request.control = gdb || env.keep_dump != KeepDump::kNever;
  auto session = VmSession::start(request);
  if (!session) {
    boot_error_ = session.error().to_string();
    log_info(vm_name(vm_, attempt_) + " not started: " + boot_error_);
    session_.reset();
    return false;
  }
  session_ = std::move(session).value();
  running_ = true;
  log_info("started the " + vm_name(vm_, attempt_) + ", QEMU's pid " + std::to_string(session_->facts().pid));
  VmStartedT started(session_->facts());
  started.began_ns -= place_.bus.start_ns();
  if (vm == Vm::Primary && env.determinism) {
    started.observe_ns = env.observe_ns;
    started.hold_at_ns = env.hold_at_ns;
  }
  if (!started.boot_note.empty()) env.progress->say("warning: the VM boots: " + started.boot_note);
  place_.bus.publish(std::move(started), vm_, attempt_);
  if (gdb) say_gdb();
  // Only to wake the loop: watch() reads.
  for (int fd : {session_->qemu().pidfd(), session_->qemu().output_fd(),
                 session_->control() ? session_->control()->fd() : -1}) {
    if (fd < 0) continue;
    place_.loop.watch(fd, EPOLLIN, [](uint32_t) {});
    fds_.push_back(fd);
  }
  return true;
}

bool VmInHand::hear(const EventBuffer& event) {
  if (event.vm() != vm_ || event->stamp()->attempt() != attempt_) return false;
  guest_ns_ = std::max(guest_ns_, event->stamp()->guest_ns());
  return true;
}

void VmInHand::on_stage(Stage stage) {
  log_debug("stage: " + std::string(stage_name(stage)));
  if (stage <= stage_) return;
  stage_ = stage;
  stage_wait_.next(now());
  stage_guest_ns_ = guest_ns_;
  place_.env.progress->step(place_.spec.name + (vm_ == Vm::Repro ? ": repro VM: " : ": ") +
                            stage_name(stage) + " (" + human_ns(now() - start_ns_) + ")");
}

// From here on the host's clock ends it no more: a person looks at it.
void VmInHand::on_held(const VmHeld& held) {
  Progress& progress = *place_.env.progress;
  if (const std::string error(str(held.error())); !error.empty())
    return progress.say("the VM was not stopped: " + error);
  held_at_gate_ = true;
  progress.say("the VM stands still, after the gate at " + human_ns(held.gate_ns()) +
               " of its clock. gdb: target remote " + (place_.env.gdb ? place_.env.gdb->socket : "") +
               "; it goes on when gdb says continue, Ctrl-C ends it");
}

void VmInHand::say_gdb() {
  const std::string& vmlinux = place_.env.kernel.debuginfo;
  std::vector<std::string> words = {"gdb", "-ex", "target remote " + session_->facts().gdb};
  if (!vmlinux.empty()) words.push_back(vmlinux);
  place_.env.progress->say("the VM stands still until gdb lets it run (no deadline passes meanwhile): " +
                           shell_quote(words));
  if (vmlinux.empty())
    place_.env.progress->say("for symbols: ktstr-launch kernel fetch --debuginfo " +
                             place_.env.kernel.release);
}

void VmInHand::look(const Surroundings& now) {
  look_at_waits(now);
  if (session_ && session_->carriers()) {
    if (!now.monitor_alive) session_->carriers()->abandon_gate();
    session_->carriers()->pump();
  }
  if (running_) watch(now);
}

// Neither a launcher nor a collector that was stopped is a guest that is silent.
void VmInHand::look_at_waits(const Surroundings& surroundings) {
  const uint64_t at = now();
  if (running_ && (held_ || dump_.running()))
    stage_wait_.stand(at);
  else
    stage_wait_.look(at, !surroundings.collector_stopped);
  if (running_ && held_) (ran_ ? held_ns_ : held_before_ns_) += at - last_look_ns_;
  if (running_ && session_->qemu().stopped()) qemu_stopped_ns_ += at - last_look_ns_;
  last_look_ns_ = at;
}

void VmInHand::watch(const Surroundings& surroundings) {
  QemuProcess& qemu = session_->qemu();
  qemu.drain_output();
  if (auto exit = qemu.try_reap()) {
    qemu_exit_ = *exit;
    qemu.drain_output();
    log_info("QEMU ended: exit code " + std::to_string(exit->exit_code) + ", signal " +
             std::to_string(exit->signal));
    if (dump_.running()) tell_dump(dump_.give_up("QEMU ended before it was complete"));
    return ended();
  }
  if (watch_control(surroundings.interrupted)) return;
  const Deadline deadline = deadline_after(stage_, place_.spec, deadlines());
  bool passed = stage_wait_.ns() > deadline.limit_ns;
  if (place_.env.determinism)
    passed = guest_ns_ - stage_guest_ns_ > deadline.limit_ns ||
             (!held_at_gate_ && stage_wait_.ns() > kHostFactor * deadline.limit_ns);
  if (passed)
    deadline_ = deadline.name + ": " + human_ns(deadline.limit_ns) + " after \"" + stage_name(stage_) + "\"";
  if (passed && !surroundings.interrupted && wants_dump(true)) return begin_dump("deadline: " + deadline_);
  ended_for_ = surroundings.end_for;
  if (!passed && !surroundings.interrupted && ended_for_.empty()) return;
  log_info("ending the VM: " + (passed                     ? "deadline " + deadline_
                                : surroundings.interrupted ? "interrupted"
                                                           : ended_for_));
  kill();
}

void VmInHand::kill() {
  if (!running_) return;
  qemu_exit_ = session_->qemu().kill_and_reap();
  ended();
}

void VmInHand::ended() {
  running_ = false;
  if (session_->carriers()) session_->carriers()->qemu_ended();
  for (int fd : std::exchange(fds_, {})) place_.loop.unwatch(fd);
}

// Of a VM whose QEMU the launcher controls. True: nothing else is to be watched now.
bool VmInHand::watch_control(bool interrupted) {
  QmpClient* control = session_->control();
  if (!control) return false;
  (void)control->look();  // that QEMU has gone its process tells
  for (const std::string& event : control->take_events()) {
    if (event == "STOP") held_ = waits_for_gdb();
    if (event == "RESUME") {
      held_ = false;
      ran_ = true;
    }
    if (event.starts_with("SHUTDOWN") && guest_end_.empty()) guest_end_ = event;  // our quit is one more
  }
  if (dump_.running()) {
    tell_dump(interrupted ? dump_.give_up("interrupted") : dump_.step(*control));
    if (dump_.busy()) place_.loop.again();
    return true;
  }
  if (guest_end_.empty()) return false;
  held_ = false;
  const bool died = guest_end_ != "SHUTDOWN guest-shutdown";
  if (!interrupted && wants_dump(died))
    begin_dump(died ? "the guest died (" + guest_end_.substr(guest_end_.find(' ') + 1) + ")"
                    : "the guest ended itself");
  else if (!std::exchange(quitting_, true) && !control->quit())
    session_->qemu().kill_and_reap();
  return true;
}

bool VmInHand::wants_dump(bool died) const {
  const KeepDump keep = place_.env.keep_dump;
  return session_->control() && !dump_.tried() &&
         (keep == KeepDump::kAlways || (keep == KeepDump::kPanic && died));
}

void VmInHand::begin_dump(const std::string& reason) {
  const std::string name =
      vm_ == Vm::Primary ? "memory.elf" : "memory.repro-" + std::to_string(attempt_) + ".elf";
  place_.env.progress->step(place_.spec.name + ": writing the guest's memory");
  tell_dump(dump_.begin(*session_->control(), place_.folder + "/" + name,
                        uint64_t{place_.spec.memory_mb} << 20, reason));
}

void VmInHand::tell_dump(GuestDump::End end) {
  if (!end) return;
  const std::string words = dump_words(*end);
  log_info(words);
  place_.env.progress->say(words);
  place_.bus.publish(std::move(*end), vm_, attempt_);
}

VmExitedT VmInHand::exited(bool interrupted) const {
  VmExitedT t;
  t.end = vm_end({.interrupted = interrupted,
                  .timed_out = !deadline_.empty(),
                  .ended_by_us = !ended_for_.empty(),
                  .not_started = !boot_error_.empty(),
                  .exit_code = qemu_exit_.exit_code,
                  .signal = qemu_exit_.signal,
                  .last_stage = stage_});
  t.exit_code = qemu_exit_.exit_code;
  t.signal = qemu_exit_.signal;
  t.duration_ns = now() - start_ns_;
  t.last_stage = stage_;
  t.deadline = deadline_;
  if (session_) t.stderr_tail = session_->qemu().output_tail();
  for (const std::string& why : {boot_error_, ended_for_})
    if (!why.empty()) t.stderr_tail.push_back(why);
  log_info(vm_name(vm_, attempt_) + ": " + EnumNameVmEnd(t.end) + " after " + human_ns(t.duration_ns) +
           ", last stage \"" + stage_name(t.last_stage) + "\"");
  return t;
}

std::vector<std::string> VmInHand::disturbances() const {
  std::vector<std::string> out;
  if (qemu_stopped_ns_ > 0) out.push_back("QEMU: was stopped by a signal for " + human_ns(qemu_stopped_ns_));
  if (held_ns_ > kNotableHold) out.push_back("QEMU: was held by a debugger for " + human_ns(held_ns_));
  return out;
}

}  // namespace ktstr
