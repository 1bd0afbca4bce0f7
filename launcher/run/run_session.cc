#include "launcher/run/run_session.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/text.h"
#include "launcher/run/deadlines.h"
#include "launcher/run/guest_dump.h"
#include "launcher/run/helper_set.h"
#include "launcher/run/known_signatures.h"
#include "launcher/run/live_runs.h"
#include "launcher/run/run_bus.h"
#include "launcher/run/run_facts.h"
#include "launcher/run/vm_session.h"
#include "launcher/vm/qemu_command.h"
#include "launcher/vm/topology_args.h"
#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/helper_flags.h"
#include "schemas/monitor_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/crash_signature.h"
#include "scx/vocabulary.h"
#include "version.h"

namespace ktstr {
namespace {

using std::chrono::milliseconds;

// How often deadlines are compared with the clock when nothing happens.
constexpr uint64_t kDeadlineLook = 100 * kMs;
// How long helpers may take for what needs no guest: far more than they need, even on a loaded host.
constexpr uint64_t kPumpPeriod = 5 * kMs;  // of a deterministic VM's carriers
// Deadlines of a deterministic VM are in guest time; on the host they are so many times longer, for a guest that says nothing.
constexpr uint64_t kHostFactor = 10;
constexpr uint64_t kSettleLimit = 30 * kSecond;
constexpr uint64_t kNeverSpokeLimit = 2 * kSecond;
constexpr uint64_t kAnswerLimit = 180 * kSecond;
// How long a run that was interrupted waits for what is on its way, in each of its last states.
constexpr uint64_t kInterruptedLimit = 10 * kSecond;
// The recorded events go from this process's one thread to the other.
constexpr uint64_t kTellLimit = 60 * kSecond;
// The monitor's own pauses are shorter.
constexpr uint64_t kNotableHold = 100 * kMs;
// For a report made again from the log.
constexpr uint64_t kReportLimit = 120 * kSecond;

class TestRun {
 public:
  TestRun(const TestSpecT& spec, RunEnvironment& env) : spec_(spec), env_(env) {}

  Result<RunOutcome> run();

 private:
  enum class State {
    kVmRunning,     // QEMU runs
    kVmEnded,       // QEMU ended; the last of its words are on their way
    kSettling,      // VmExited is published; collector and monitor finish
    kAwaitAnswer,   // VmSettled is published; the reproer decides
    kAwaitVerdict,  // FactsCompleted is published; the reporter decides
    kDone,
  };

  Status begin();
  std::optional<ChildExit> wait_for_report(Child& reporter);
  Status tell_recorded();
  Status start_helpers();
  void boot(Vm vm, uint8_t attempt, const ProbePlanT* plan);
  void enter(State state);
  void turn();
  void on_event(const EventBuffer& event);
  void on_crash(const CrashDetected& seen);
  void on_held(const VmHeld& held);
  void tell_known();
  void on_stage(Stage stage);
  void on_signal();
  void watch_vm();
  bool watch_control();
  bool wants_dump(bool died) const;
  void begin_dump(const std::string& reason);
  void tell_dump(GuestDump::End end);
  bool waits_for_gdb() const { return env_.gdb && env_.gdb->waits && vm_ == Vm::Primary; }
  void say_gdb();
  void check_state();
  void publish_vm_exit();
  void settle();
  void complete_facts(const std::string& note);
  void judge_without_reporter(const std::string& why);
  void finish();
  bool current_vm(const EventBuffer& event) const {
    return event.vm() == vm_ && event->stamp()->attempt() == attempt_;
  }
  bool alive(std::string_view name) const { return helpers_.alive(name); }
  // QEMU refused to start (a bad option, an old version): no carrier was ever connected, none will be drained.
  bool never_spoke() const { return stage_ == Stage::NotStarted && qemu_exit_.exit_code != 0; }
  uint64_t now() const { return env_.clock->monotonic_ns(); }
  bool waited(uint64_t limit) const {
    return state_wait_.ns() > (interrupted_ ? std::min(limit, kInterruptedLimit) : limit);
  }
  void look_at_waits();
  DeadlineOptions deadlines() const {
    DeadlineOptions options{.time_scale = scale_};
    if (env_.boot_limit_ns != 0) options.boot_ns = env_.boot_limit_ns;
    return options;
  }
  bool out_of_time() const {
    return env_.test_limit_ns != 0 && now() - test_start_ - held_before_ns_ - held_ns_ > env_.test_limit_ns;
  }
  bool reader_is_slow() const;

  const TestSpecT& spec_;
  RunEnvironment& env_;
  double scale_ = 1;
  std::string run_id_, folder_;
  RunOutcome result_;
  std::optional<BusFolder> bus_folder_;
  std::unique_ptr<RunBus> bus_;
  EventLoop loop_;
  HelperSet helpers_{loop_, *env_.progress};

  uint64_t test_start_ = 0;
  State state_ = State::kVmRunning;
  FairWait state_wait_;
  // The VM in hand.
  std::unique_ptr<VmSession> session_;
  std::vector<int> vm_fds_;  // of its process, in the loop
  Vm vm_ = Vm::Primary;
  uint8_t attempt_ = 0;
  uint64_t vm_start_ = 0;
  FairWait stage_wait_;
  uint64_t last_look_ = 0, qemu_stopped_ns_ = 0;
  bool held_ = false;                          // a debugger has it
  uint64_t held_before_ns_ = 0, held_ns_ = 0;  // before the guest ran for the first time; later
  bool ran_ = false;
  std::string guest_end_;  // QEMU's reason why the guest ended, while QEMU waits
  GuestDump dump_;
  bool quitting_ = false;  // QEMU was told to end
  uint64_t guest_ns_ = 0,
           stage_guest_ns_ = 0;  // the guest's clock: the newest that was heard, and at its stage
  Stage stage_ = Stage::NotStarted;
  bool drained_ = false, monitor_stopped_ = false;
  std::string deadline_;  // the one that passed
  QemuExit qemu_exit_;
  std::string boot_error_;
  std::string ended_for_;  // why we ended a VM that had done no wrong

  std::optional<ReproRequestedT> repro_request_;
  bool repro_answered_ = false;
  std::optional<ExitCode> verdict_;
  std::string signature_;  // of the primary VM's crash; empty: none
  int interrupted_ = 0;
  int signals_ = 0;
  bool held_at_gate_ = false;    // the monitor has stopped the VM, for gdb
  std::string fatal_;            // the log takes nothing more
  uint64_t recorded_until_ = 0;  // the last fact of a recorded primary VM; 0: it is booted
};

Status TestRun::begin() {
  auto folder = make_test_folder(env_.artifacts, spec_.name);
  if (!folder) return std::move(folder).error();
  folder_ = *folder;
  run_id_ = run_id_of(spec_, env_);
  test_start_ = now();
  result_.log = folder_ + "/events.ktlog";
  result_.report = folder_ + "/report.txt";
  log_beside(result_.log);
  log_info("run " + run_id_ + ": kernel " + env_.kernel.release + " (" + env_.kernel.path + "), chosen by " +
           env_.kernel.origin);
  log_info("accelerator " + env_.accelerator.name + ": " + env_.accelerator.reason);
  auto bus_folder = BusFolder::create(env_.folders);
  if (!bus_folder) return std::move(bus_folder).error();
  bus_folder_.emplace(std::move(bus_folder).value());
  auto bus = RunBus::open({.folder = bus_folder_->path(),
                           .log_path = result_.log,
                           .run_id = run_id_,
                           .listen = env_.listen,
                           .past_ns = env_.recorded ? env_.recorded->last_host_ns : 0},
                          *env_.clock);
  if (!bus) return std::move(bus).error();
  bus_ = std::move(bus).value();
  loop_.watch(bus_->fd(), EPOLLIN, [](uint32_t) {});  // turn() takes what came
  loop_.watch(env_.signal_fd, EPOLLIN, [this](uint32_t) { on_signal(); });
  loop_.every(kDeadlineLook, [] {});
  if (auto s = announce_run({.run_id = run_id_,
                             .bus_folder = bus_folder_->path(),
                             .log = result_.log,
                             .pid = ::getpid(),
                             .start_ns = bus_->start_ns(),
                             .listen = env_.listen ? env_.listen->address.events : ""});
      !s)
    return s;
  // Enters the guest: of a deterministic run it must not depend on the host.
  scale_ = env_.determinism ? time_scale({.vcpus = vcpu_count(*spec_.topology)})
                            : time_scale({.tcg = env_.accelerator.name == "tcg",
                                          .vcpus = vcpu_count(*spec_.topology),
                                          .host_cpus = env_.host.cpus,
                                          .jobs = env_.jobs,
                                          .load_1min = env_.load_1min,
                                          .speed = static_cast<double>(env_.host.speed)});

  result_.rerun = rerun_command(spec_, env_);
  RunStartedT started = run_started(spec_, env_);
  started.run_id = run_id_;
  started.start_unix_ns = env_.clock->realtime_ns();
  started.rerun = result_.rerun;
  started.time_scale = static_cast<float>(scale_);
  bus_->publish(std::move(started));
  if (env_.determinism) loop_.every(kPumpPeriod, [] {});  // turn() pumps
  if (env_.recorded) return tell_recorded();
  if (!env_.embed) return {};
  auto embedded = embed_files(spec_, [&](FileEmbeddedT piece) {
    if (piece.offset == 0)
      env_.progress->say("into the log: " + piece.role + " " + piece.path + " (" +
                         std::to_string(piece.size) + " bytes)");
    bus_->publish(std::move(piece));
    on_signal();
    return interrupted_ == 0;
  });
  return interrupted_ ? Status() : std::move(embedded);
}

// Publishes the events of the recorded primary VM. Done when the last of them is in the log.
Status TestRun::tell_recorded() {
  for (const EventBuffer& event : env_.recorded->events) bus_->publish_event(with_run_id(event, run_id_));
  Status failed;
  loop_.run_until(
      [&] {
        while (failed.ok() && recorded_until_ == 0 && interrupted_ == 0) {
          auto event = bus_->receive();
          if (!event)
            failed = std::move(event).error();
          else if (!bus_->failure().empty())
            failed = Error::system(bus_->failure());
          else if (!*event)
            return false;
          else if ((**event).type() == Payload::VmSettled)
            recorded_until_ = (**event).seq();
        }
        return true;
      },
      now() + kTellLimit);
  if (failed.ok() && recorded_until_ == 0 && interrupted_ == 0)
    failed = Error::timeout("the recorded run did not reach the new log within " + human_ns(kTellLimit));
  return failed;
}

Status TestRun::start_helpers() {
  const HelperOptions usual{.program_folder = env_.program_folder,
                            .bus_folder = bus_folder_->path(),
                            .log_path = result_.log,
                            .run_id = run_id_,
                            .start_ns = bus_->start_ns(),
                            .stop_fd = env_.signal_fd};
  auto arguments = [this](std::string_view name) -> std::vector<std::string> {
    if (name == "reporter") return {kReportFileFlag, result_.report};
    if (recorded_until_ != 0 && (name == "collector" || name == "monitor"))
      return {kRecordedUntilFlag, std::to_string(recorded_until_)};
    return {};
  };
  return helpers_.start(*bus_, usual, arguments, [this] {
    on_signal();
    return interrupted_ != 0;
  });
}

void TestRun::boot(Vm vm, uint8_t attempt, const ProbePlanT* plan) {
  vm_ = vm;
  attempt_ = attempt;
  stage_ = Stage::NotStarted;
  drained_ = monitor_stopped_ = false;
  deadline_.clear();
  boot_error_.clear();
  ended_for_.clear();
  qemu_exit_ = {};
  vm_start_ = last_look_ = now();
  qemu_stopped_ns_ = 0;
  const bool gdb = waits_for_gdb();
  held_ = gdb;
  held_ns_ = 0;
  ran_ = !gdb;
  guest_end_.clear();
  dump_.reset();
  quitting_ = false;
  guest_ns_ = stage_guest_ns_ = 0;
  stage_wait_.begin(vm_start_);
  env_.progress->step(spec_.name + ": starting " + (vm == Vm::Primary ? "the VM on " : "the repro VM on ") +
                      env_.kernel.release);
  auto session = VmSession::start({.vm = vm,
                                   .attempt = attempt,
                                   .spec = &spec_,
                                   .probe_plan = plan,
                                   .files = env_.recorded ? &env_.recorded->files : nullptr,
                                   .run_id = run_id_,
                                   .program_folder = env_.program_folder,
                                   .bus_folder = bus_folder_->path(),
                                   .qemu = env_.qemu,
                                   .qemu_version = env_.host.qemu,
                                   .accelerator = env_.accelerator.name,
                                   .tsc_khz = env_.tsc_khz,
                                   .kernel = env_.kernel.path,
                                   .kernel_release = env_.kernel.release,
                                   .clock = env_.clock,
                                   .time_scale = scale_,
                                   .verbose_console = env_.verbose_console,
                                   .templates = env_.determinism ? nullptr : env_.templates,
                                   .boot_ns = deadline_after(Stage::NotStarted, spec_, deadlines()).limit_ns,
                                   .own_view = env_.own_view,
                                   .determinism = env_.determinism ? &*env_.determinism : nullptr,
                                   .qemu_args = env_.qemu_args,
                                   .gdb = vm == Vm::Primary ? env_.gdb : std::nullopt,
                                   .control = gdb || env_.keep_dump != KeepDump::kNever});
  if (!session) {
    boot_error_ = session.error().to_string();
    log_info(vm_name(vm_, attempt_) + " not started: " + boot_error_);
    session_.reset();
    drained_ = monitor_stopped_ = true;
    enter(State::kVmEnded);
    return;
  }
  session_ = std::move(session).value();
  log_info("started the " + vm_name(vm_, attempt_) + ", QEMU's pid " + std::to_string(session_->facts().pid));
  VmStartedT started(session_->facts());
  started.began_ns -= bus_->start_ns();
  if (vm == Vm::Primary && env_.determinism) {
    started.observe_ns = env_.observe_ns;
    started.hold_at_ns = env_.hold_at_ns;
  }
  if (!started.boot_note.empty()) env_.progress->say("warning: the VM boots: " + started.boot_note);
  bus_->publish(std::move(started), vm_, attempt_);
  if (gdb) say_gdb();
  // Only to wake the loop: watch_vm() reads.
  for (int fd : {session_->qemu().pidfd(), session_->qemu().output_fd(),
                 session_->control() ? session_->control()->fd() : -1}) {
    if (fd < 0) continue;
    loop_.watch(fd, EPOLLIN, [](uint32_t) {});
    vm_fds_.push_back(fd);
  }
  enter(State::kVmRunning);
}

void TestRun::enter(State state) {
  constexpr const char* kNames[] = {"VM running",      "VM ended",         "settling",
                                    "awaiting answer", "awaiting verdict", "done"};
  log_debug(std::string("state: ") + kNames[static_cast<size_t>(state)]);
  if (state != State::kVmRunning && session_ && session_->carriers()) session_->carriers()->qemu_ended();
  if (state != State::kVmRunning)
    for (int fd : std::exchange(vm_fds_, {})) loop_.unwatch(fd);
  state_ = state;
  state_wait_.begin(now());
}

void TestRun::turn() {
  // A flood of events must not keep signals, deadlines and process ends waiting.
  bool more = true;
  for (int n = 0; more && n < 1000; ++n) {
    auto event = bus_->receive();
    if (!event) fatal_ = event.error().message();
    more = event && *event;
    if (more) on_event(**event);
  }
  if (more) loop_.again();
  if (fatal_.empty()) fatal_ = bus_->failure();
  if (!fatal_.empty()) {
    if (session_) session_->qemu().kill_and_reap();
    judge_without_reporter(fatal_);
    return;
  }
  helpers_.watch(*bus_);
  look_at_waits();
  if (session_ && session_->carriers()) {
    if (!alive("monitor")) session_->carriers()->abandon_gate();
    session_->carriers()->pump();
  }
  watch_vm();
  check_state();
}

void TestRun::on_event(const EventBuffer& event) {
  if (current_vm(event)) guest_ns_ = std::max(guest_ns_, event->stamp()->guest_ns());
  switch (event.type()) {
    case Payload::StageReached:
      if (current_vm(event)) on_stage(event.as<StageReached>()->stage());
      break;
    case Payload::GuestFinished:
      if (current_vm(event)) on_stage(Stage::GuestFinished);
      break;
    case Payload::CollectorDrained:
      if (current_vm(event)) drained_ = true;
      break;
    case Payload::MonitorStopped:
      if (current_vm(event)) monitor_stopped_ = true;
      break;
    case Payload::ReproRequested: {
      ReproRequestedT request;
      event.as<ReproRequested>()->UnPackTo(&request);
      repro_request_ = std::move(request);
      break;
    }
    case Payload::VmHeld:
      if (current_vm(event)) on_held(*event.as<VmHeld>());
      break;
    case Payload::CrashDetected:
      if (event.vm() == Vm::Primary) on_crash(*event.as<CrashDetected>());
      break;
    case Payload::ReproDeclined:
    case Payload::ReproFinished:
      repro_answered_ = true;
      break;
    case Payload::Verdict:
      verdict_ = static_cast<ExitCode>(event.as<Verdict>()->exit_code());
      result_.summary = str(event.as<Verdict>()->summary());
      result_.outcome = event.as<Verdict>()->outcome();
      result_.signature = str(event.as<Verdict>()->signature());
      break;
    default:
      break;
  }
}

// As reporter and reproer choose: a scheduler's exit before a kernel's fault.
void TestRun::on_crash(const CrashDetected& seen) {
  if (!signature_.empty() && seen.kind() != CrashKind::SchedExtExit) return;
  CrashDetectedT crash;
  seen.UnPackTo(&crash);
  signature_ = crash_signature(crash);
}

// From here on the host's clock ends it no more: a person looks at it.
void TestRun::on_held(const VmHeld& held) {
  if (const std::string error(str(held.error())); !error.empty())
    return env_.progress->say("the VM was not stopped: " + error);
  held_at_gate_ = true;
  env_.progress->say("the VM stands still, after the gate at " + human_ns(held.gate_ns()) +
                     " of its clock. gdb: target remote " + (env_.gdb ? env_.gdb->socket : "") +
                     "; it goes on when gdb says continue, Ctrl-C ends it");
}

// A fact of the log, so that a replay says the same.
void TestRun::tell_known() {
  if (signature_.empty()) return;
  std::vector<std::string> roots = env_.known;
  if (std::string kept = kept_runs(env_.folders); !kept.empty()) roots.push_back(std::move(kept));
  const std::string folder = result_.log.substr(0, result_.log.rfind('/'));
  if (auto known = find_known(signature_, roots, folder)) bus_->publish(std::move(*known));
  if (Status kept = keep_signature(folder, signature_); !kept) log_info(kept.error().message());
}

void TestRun::on_stage(Stage stage) {
  log_debug("stage: " + std::string(stage_name(stage)));
  if (stage <= stage_) return;
  stage_ = stage;
  stage_wait_.next(now());
  stage_guest_ns_ = guest_ns_;
  env_.progress->step(spec_.name + (vm_ == Vm::Repro ? ": repro VM: " : ": ") + stage_name(stage) + " (" +
                      human_ns(now() - vm_start_) + ")");
}

void TestRun::on_signal() {
  signalfd_siginfo info;
  while (::read(env_.signal_fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    ++signals_;
    if (interrupted_ == 0) {
      interrupted_ = static_cast<int>(info.ssi_signo);
      RunInterruptedT t;
      t.signal = interrupted_;
      bus_->publish(std::move(t));
      log_info("interrupted by signal " + std::to_string(interrupted_));
      env_.progress->say("interrupted: ending the VM; the report holds what was seen so far");
      state_wait_.begin(now());
    } else {
      fatal_ = "interrupted twice";
    }
  }
}

// Neither a launcher nor a collector that was stopped is a guest that is silent.
void TestRun::look_at_waits() {
  const bool heard = !helpers_.collector_stopped();
  if (state_ == State::kVmRunning && (held_ || dump_.running()))
    stage_wait_.stand(now());
  else
    stage_wait_.look(now(), heard);
  state_wait_.look(now(), heard);
  if (state_ == State::kVmRunning && held_) (ran_ ? held_ns_ : held_before_ns_) += now() - last_look_;
  if (state_ == State::kVmRunning && session_->qemu().stopped()) qemu_stopped_ns_ += now() - last_look_;
  last_look_ = now();
}

void TestRun::watch_vm() {
  if (state_ != State::kVmRunning) return;
  QemuProcess& qemu = session_->qemu();
  qemu.drain_output();
  if (auto exit = qemu.try_reap()) {
    qemu_exit_ = *exit;
    qemu.drain_output();
    log_info("QEMU ended: exit code " + std::to_string(exit->exit_code) + ", signal " +
             std::to_string(exit->signal));
    if (dump_.running()) tell_dump(dump_.give_up("QEMU ended before it was complete"));
    enter(State::kVmEnded);
    return;
  }
  if (watch_control()) return;
  Deadline deadline = deadline_after(stage_, spec_, deadlines());
  bool passed = stage_wait_.ns() > deadline.limit_ns;
  if (env_.determinism)
    passed = guest_ns_ - stage_guest_ns_ > deadline.limit_ns ||
             (!held_at_gate_ && stage_wait_.ns() > kHostFactor * deadline.limit_ns);
  if (passed)
    deadline_ = deadline.name + ": " + human_ns(deadline.limit_ns) + " after \"" + stage_name(stage_) + "\"";
  if (!alive("collector")) ended_for_ = "ktstr-collector was lost: the launcher ended the VM";
  if (out_of_time())
    ended_for_ =
        "--timeout: the test had run for " + human_ns(env_.test_limit_ns) + ": the launcher ended the VM";
  if (passed && !interrupted_ && wants_dump(true)) return begin_dump("deadline: " + deadline_);
  if (passed || interrupted_ || !ended_for_.empty()) {
    log_info("ending the VM: " + (passed         ? "deadline " + deadline_
                                  : interrupted_ ? "interrupted"
                                                 : ended_for_));
    qemu_exit_ = qemu.kill_and_reap();
    enter(State::kVmEnded);
  }
}

void TestRun::say_gdb() {
  const std::string& vmlinux = env_.kernel.debuginfo;
  std::vector<std::string> words = {"gdb", "-ex", "target remote " + session_->facts().gdb};
  if (!vmlinux.empty()) words.push_back(vmlinux);
  env_.progress->say("the VM stands still until gdb lets it run (no deadline passes meanwhile): " +
                     shell_quote(words));
  if (vmlinux.empty())
    env_.progress->say("for symbols: ktstr-launch kernel fetch --debuginfo " + env_.kernel.release);
}

// Of a VM whose QEMU the launcher controls. True: nothing else is to be watched now.
bool TestRun::watch_control() {
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
    tell_dump(interrupted_ ? dump_.give_up("interrupted") : dump_.step(*control));
    if (dump_.busy()) loop_.again();
    return true;
  }
  if (guest_end_.empty()) return false;
  held_ = false;
  const bool died = guest_end_ != "SHUTDOWN guest-shutdown";
  if (!interrupted_ && wants_dump(died))
    begin_dump(died ? "the guest died (" + guest_end_.substr(guest_end_.find(' ') + 1) + ")"
                    : "the guest ended itself");
  else if (!std::exchange(quitting_, true) && !control->quit())
    session_->qemu().kill_and_reap();
  return true;
}

bool TestRun::wants_dump(bool died) const {
  return session_->control() && !dump_.tried() &&
         (env_.keep_dump == KeepDump::kAlways || (env_.keep_dump == KeepDump::kPanic && died));
}

void TestRun::begin_dump(const std::string& reason) {
  const std::string name =
      vm_ == Vm::Primary ? "memory.elf" : "memory.repro-" + std::to_string(attempt_) + ".elf";
  env_.progress->step(spec_.name + ": writing the guest's memory");
  tell_dump(dump_.begin(*session_->control(), folder_ + "/" + name, uint64_t{spec_.memory_mb} << 20, reason));
}

void TestRun::tell_dump(GuestDump::End end) {
  if (!end) return;
  const std::string words = dump_words(*end);
  log_info(words);
  env_.progress->say(words);
  bus_->publish(std::move(*end), vm_, attempt_);
}

void TestRun::check_state() {
  switch (state_) {
    case State::kVmRunning:
    case State::kDone:
      return;
    case State::kVmEnded:
      // How it ended is known once the guest's last events have passed the bus.
      if (stage_ == Stage::GuestFinished || drained_ || !alive("collector") ||
          waited(never_spoke() ? kNeverSpokeLimit : kSettleLimit)) {
        publish_vm_exit();
        enter(State::kSettling);
      }
      return;
    case State::kSettling:
      if ((drained_ || !alive("collector")) && (monitor_stopped_ || !alive("monitor"))) return settle();
      if (waited(kSettleLimit)) settle();
      return;
    case State::kAwaitAnswer:
      if (interrupted_) return complete_facts("interrupted");
      if (repro_request_ && out_of_time())
        return complete_facts("--timeout: the test had run for " + human_ns(env_.test_limit_ns) +
                              ", no further VM is booted");
      if (repro_request_) {
        ReproRequestedT request = std::move(*repro_request_);
        repro_request_.reset();
        log_info("repro VM " + std::to_string(request.attempt) + " requested");
        return boot(Vm::Repro, static_cast<uint8_t>(std::min(request.attempt, 255u)), request.plan.get());
      }
      if (repro_answered_) return complete_facts("");
      if (!alive("reproer")) return complete_facts("the reproer ended before it answered");
      if (waited(kAnswerLimit)) complete_facts("the reproer did not answer");
      return;
    case State::kAwaitVerdict:
      if (verdict_) return finish();
      if (!alive("reporter")) return judge_without_reporter("");
      if (reader_is_slow() && !interrupted_) return state_wait_.begin(now());
      if (waited(kAnswerLimit))
        judge_without_reporter(reader_is_slow() ? "nobody reads the report" : "the reporter did not answer");
      return;
  }
}

// The report is a file already, and the reporter waits for the reader of its output (a pager): so does the launcher, until the
// first signal.
bool TestRun::reader_is_slow() const {
  pollfd out{STDOUT_FILENO, POLLOUT, 0};
  return ::access(result_.report.c_str(), F_OK) == 0 && ::poll(&out, 1, 0) == 0;
}

void TestRun::publish_vm_exit() {
  VmExitedT t;
  t.end = vm_end({.interrupted = interrupted_ != 0,
                  .timed_out = !deadline_.empty(),
                  .ended_by_us = !ended_for_.empty(),
                  .not_started = !boot_error_.empty(),
                  .exit_code = qemu_exit_.exit_code,
                  .signal = qemu_exit_.signal,
                  .last_stage = stage_});
  t.exit_code = qemu_exit_.exit_code;
  t.signal = qemu_exit_.signal;
  t.duration_ns = now() - vm_start_;
  t.last_stage = stage_;
  t.deadline = deadline_;
  if (session_) t.stderr_tail = session_->qemu().output_tail();
  for (const std::string& why : {boot_error_, ended_for_})
    if (!why.empty()) t.stderr_tail.push_back(why);
  log_info(vm_name(vm_, attempt_) + ": " + EnumNameVmEnd(t.end) + " after " + human_ns(t.duration_ns) +
           ", last stage \"" + stage_name(t.last_stage) + "\"");
  bus_->publish(std::move(t), vm_, attempt_);
}

void TestRun::settle() {
  VmSettledT t;
  auto missing = [&](const char* name, bool delivered) {
    if (!delivered) t.missing.push_back(helpers_.what_became_of(name));
  };
  missing("collector", drained_);
  missing("monitor", monitor_stopped_);
  if (qemu_stopped_ns_ > 0)
    t.missing.push_back("QEMU: was stopped by a signal for " + human_ns(qemu_stopped_ns_));
  if (held_ns_ > kNotableHold) t.missing.push_back("QEMU: was held by a debugger for " + human_ns(held_ns_));
  for (const std::string& name : t.missing) log_info(vm_name(vm_, attempt_) + ": facts are missing: " + name);
  bus_->publish(std::move(t), vm_, attempt_);
  session_.reset();  // frees the guest's RAM
  repro_answered_ = false;
  env_.progress->step(spec_.name + (vm_ == Vm::Primary ? ": looking for a crash" : ": decoding the probes"));
  enter(State::kAwaitAnswer);
}

void TestRun::complete_facts(const std::string& note) {
  env_.progress->clear();
  tell_known();
  FactsCompletedT t;
  t.note = note;
  bus_->publish(std::move(t));
  enter(State::kAwaitVerdict);
}

// At most two minutes; of an interrupted run some seconds, until one more signal ends that too.
std::optional<ChildExit> TestRun::wait_for_report(Child& reporter) {
  const int last_signal = std::max(signals_, 1);
  for (state_wait_.begin(now()); signals_ <= last_signal && !waited(kReportLimit);
       state_wait_.look(now(), true)) {
    if (auto exit = reporter.wait(milliseconds(50))) return exit;
    on_signal();
  }
  return std::nullopt;
}

// The report is a function of the log: whoever reads it gets the same bytes.
void TestRun::judge_without_reporter(const std::string& why) {
  log_info("the report is made from the log: " + (why.empty() ? "the reporter ended" : why));
  if (!why.empty()) env_.progress->say(why);
  env_.progress->clear();
  helpers_.terminate("reporter", milliseconds(500));
  if (interrupted_ && ::access(result_.report.c_str(), F_OK) == 0)
    return finish();  // nobody read the reporter's output
  auto child = Child::spawn(
      {.argv = {env_.program_folder + "/ktstr-reporter", result_.log, kReportFileFlag, result_.report}});
  std::optional<ChildExit> exit;
  if (child) exit = wait_for_report(*child);
  verdict_ = exit && exit->signal == 0 ? static_cast<ExitCode>(exit->exit_code) : ExitCode::kInfrastructure;
  if (!fatal_.empty() && interrupted_ == 0) verdict_ = ExitCode::kInfrastructure;
  finish();
}

void TestRun::finish() {
  if (::access(result_.report.c_str(), F_OK) != 0) {
    env_.progress->say(result_.report + ": no report could be written");
    if (verdict_ == ExitCode::kPass) verdict_ = ExitCode::kInfrastructure;
  }
  if (interrupted_) verdict_ = interrupted_ == SIGINT ? ExitCode::kInterrupted : ExitCode::kTerminated;
  result_.code = *verdict_;
  RunFinishedT t;
  t.exit_code = exit_code(result_.code);
  t.duration_ns = bus_->elapsed_ns();
  bus_->publish(std::move(t));
  enter(State::kDone);
}

Result<RunOutcome> TestRun::run() {
  if (auto s = begin(); !s) return std::move(s).error();
  if (auto s = start_helpers(); !s) return std::move(s).error();
  if (env_.recorded || interrupted_)
    enter(State::kAwaitAnswer);
  else
    boot(Vm::Primary, 0, nullptr);
  loop_.run_until(
      [this] {
        turn();
        return state_ == State::kDone;
      },
      UINT64_MAX);
  // A failed log takes no RunFinished, so nobody would hear of it.
  helpers_.see_off(fatal_.empty(), milliseconds(interrupted_ ? 1'000 : 5'000));
  ::unlink((bus_folder_->path() + "/run.json").c_str());  // attached collectors leave
  env_.progress->clear();
  return std::move(result_);
}

}  // namespace

Result<RunOutcome> run_test(const TestSpecT& spec, RunEnvironment& environment) {
  return TestRun(spec, environment).run();
}

}  // namespace ktstr
