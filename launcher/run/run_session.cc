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
#include "launcher/run/helper_set.h"
#include "launcher/run/known_signatures.h"
#include "launcher/run/live_runs.h"
#include "launcher/run/run_bus.h"
#include "launcher/run/run_facts.h"
#include "launcher/run/vm_in_hand.h"
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
constexpr uint64_t kPumpPeriod = 5 * kMs;  // of a deterministic VM's carriers
// How long helpers may take for what needs no guest: far more than they need, even on a loaded host.
constexpr uint64_t kSettleLimit = 30 * kSecond;
constexpr uint64_t kNeverSpokeLimit = 2 * kSecond;
constexpr uint64_t kAnswerLimit = 180 * kSecond;
// How long a run that was interrupted waits for what is on its way, in each of its last states.
constexpr uint64_t kInterruptedLimit = 10 * kSecond;
// The recorded events go from this process's one thread to the other.
constexpr uint64_t kTellLimit = 60 * kSecond;
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
  void tell_known();
  void on_signal();
  void watch_vm();
  void check_state();
  void settle();
  void complete_facts(const std::string& note);
  void judge_without_reporter(const std::string& why);
  void finish();
  bool alive(std::string_view name) const { return helpers_.alive(name); }
  uint64_t now() const { return env_.clock->monotonic_ns(); }
  bool waited(uint64_t limit) const {
    return state_wait_.ns() > (interrupted_ ? std::min(limit, kInterruptedLimit) : limit);
  }
  bool out_of_time() const {
    return env_.test_limit_ns != 0 && now() - test_start_ - vm_->held_ns() > env_.test_limit_ns;
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
  std::optional<VmInHand> vm_;
  bool drained_ = false, monitor_stopped_ = false;  // the collector and the monitor are through with it

  std::optional<ReproRequestedT> repro_request_;
  bool repro_answered_ = false;
  std::optional<ExitCode> verdict_;
  std::string signature_;  // of the primary VM's crash; empty: none
  int interrupted_ = 0;
  int signals_ = 0;
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

  vm_.emplace(VmInHand::Place{.spec = spec_,
                              .env = env_,
                              .loop = loop_,
                              .bus = *bus_,
                              .run_id = run_id_,
                              .bus_folder = bus_folder_->path(),
                              .folder = folder_,
                              .time_scale = scale_});
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
  const bool started = vm_->boot(vm, attempt, plan);
  drained_ = monitor_stopped_ = !started;
  enter(started ? State::kVmRunning : State::kVmEnded);
}

void TestRun::enter(State state) {
  constexpr const char* kNames[] = {"VM running",      "VM ended",         "settling",
                                    "awaiting answer", "awaiting verdict", "done"};
  log_debug(std::string("state: ") + kNames[static_cast<size_t>(state)]);
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
    vm_->kill();
    judge_without_reporter(fatal_);
    return;
  }
  helpers_.watch(*bus_);
  state_wait_.look(now(), !helpers_.collector_stopped());
  watch_vm();
  check_state();
}

void TestRun::on_event(const EventBuffer& event) {
  const bool current = vm_->hear(event);
  switch (event.type()) {
    case Payload::StageReached:
      if (current) vm_->on_stage(event.as<StageReached>()->stage());
      break;
    case Payload::GuestFinished:
      if (current) vm_->on_stage(Stage::GuestFinished);
      break;
    case Payload::CollectorDrained:
      if (current) drained_ = true;
      break;
    case Payload::MonitorStopped:
      if (current) monitor_stopped_ = true;
      break;
    case Payload::ReproRequested: {
      ReproRequestedT request;
      event.as<ReproRequested>()->UnPackTo(&request);
      repro_request_ = std::move(request);
      break;
    }
    case Payload::VmHeld:
      if (current) vm_->on_held(*event.as<VmHeld>());
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

// A fact of the log, so that a replay says the same.
void TestRun::tell_known() {
  if (signature_.empty()) return;
  std::vector<std::string> roots = env_.known;
  if (std::string kept = kept_runs(env_.folders); !kept.empty()) roots.push_back(std::move(kept));
  const std::string folder = result_.log.substr(0, result_.log.rfind('/'));
  if (auto known = find_known(signature_, roots, folder)) bus_->publish(std::move(*known));
  if (Status kept = keep_signature(folder, signature_); !kept) log_info(kept.error().message());
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

void TestRun::watch_vm() {
  VmInHand::Surroundings now{.collector_stopped = helpers_.collector_stopped(),
                             .monitor_alive = alive("monitor"),
                             .interrupted = interrupted_ != 0};
  if (!alive("collector")) now.end_for = "ktstr-collector was lost: the launcher ended the VM";
  if (out_of_time())
    now.end_for =
        "--timeout: the test had run for " + human_ns(env_.test_limit_ns) + ": the launcher ended the VM";
  vm_->look(now);
  if (state_ == State::kVmRunning && !vm_->running()) enter(State::kVmEnded);
}

void TestRun::check_state() {
  switch (state_) {
    case State::kVmRunning:
    case State::kDone:
      return;
    case State::kVmEnded:
      // How it ended is known once the guest's last events have passed the bus.
      if (vm_->stage() == Stage::GuestFinished || drained_ || !alive("collector") ||
          waited(vm_->never_spoke() ? kNeverSpokeLimit : kSettleLimit)) {
        bus_->publish(vm_->exited(interrupted_ != 0), vm_->vm(), vm_->attempt());
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

void TestRun::settle() {
  VmSettledT t;
  auto missing = [&](const char* name, bool delivered) {
    if (!delivered) t.missing.push_back(helpers_.what_became_of(name));
  };
  missing("collector", drained_);
  missing("monitor", monitor_stopped_);
  for (std::string& what : vm_->disturbances()) t.missing.push_back(std::move(what));
  for (const std::string& name : t.missing)
    log_info(vm_name(vm_->vm(), vm_->attempt()) + ": facts are missing: " + name);
  bus_->publish(std::move(t), vm_->vm(), vm_->attempt());
  vm_->release();
  repro_answered_ = false;
  env_.progress->step(spec_.name +
                      (vm_->vm() == Vm::Primary ? ": looking for a crash" : ": decoding the probes"));
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
