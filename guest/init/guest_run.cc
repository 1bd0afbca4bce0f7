#include "guest/init/guest_run.h"

#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "base/small_files.h"
#include "guest/init/mounts.h"
#include "guest/init/own_class.h"
#include "guest/init/own_view.h"
#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/guest_paths.h"
#include "schemas/monitor_generated.h"
#include "schemas/spec_generated.h"
#include "scx/constants.h"

namespace ktstr::guest {
namespace {

constexpr uint64_t kTickNs = 25 * kMs;  // state, dump, channel

// Deadlines before scaling.
constexpr uint64_t kTemplateProbeNs = 30 * kSecond;  // it is a few; without it the template is only slower
constexpr uint64_t kProbeReadyNs = 60 * kSecond;
constexpr uint64_t kProbeHangNs = 20 * kSecond;
constexpr uint64_t kProbeDoneNs = 15 * kSecond;
constexpr uint64_t kProbeLookNs = 20 * kSecond;
constexpr uint64_t kSettleNs =
    6 * kSecond;  // after a detach, for dump, console and the scheduler's last output
constexpr uint64_t kRestartNs = 20 * kSecond;  // after the workload, for a scheduler that loads itself anew
constexpr uint64_t kQuietNs = 300 * kMs;       // nothing new for so long counts as quiet
constexpr uint64_t kGraceNs = 5 * kSecond;     // between asking and killing
constexpr uint64_t kCoreNs = 10 * kSecond;
constexpr int kDrainMs = 10'000;

// The launcher boots this VM to save it when it waits for its work.
bool becomes_template() {
  return (" " + read_text_or("/proc/cmdline", "")).find(std::string(" ") + kTemplateSwitch) !=
         std::string::npos;
}

}  // namespace

GuestRun::GuestRun(EventLoop& loop, EventChannel& channel)
    : loop_(loop),
      channel_(channel),
      tracer_(channel),
      probe_(loop, channel,
             {.programs_seen = [this] { stage(Stage::ProgramsSeen); },
              .note = [this](const std::string& text) { note(text); }}),
      scheduler_(loop, channel),
      cores_(loop),
      commands_(loop, channel),
      handover_({}, memory_for_files()) {}

GuestRun::~GuestRun() = default;

void GuestRun::run(std::vector<std::string> boot_notes) {
  boot_notes_ = std::move(boot_notes);
  prepare();
  say_hello();
  if (auto planned = take_plan(); !planned) {
    fail(Stage::InitStarted, planned.error().message());
    return finish();
  }
  if (plan_->determinism && (!gate_.open() || !switcher_.start(*plan_->determinism)))
    note("no right to the ports of a deterministic VM: nothing is sampled, nothing perturbed");
  stage(Stage::PlanRead, plan_->spec->name);
  if (plan_->verbose_console)
    if (auto set = set_verbose_console(); !set) note(set.error().message());
  if (auto set = apply_sysctls(*plan_->spec); !set) {
    fail(Stage::PlanRead, set.error().message());
    return finish();
  }
  if (plan_->shell || !plan_->spec->scheduler) probe_.dismiss();
  if (plan_->shell) return run_shell();
  const Attach result = attach();
  // A scheduler that was disabled before the workload could start gets no workload.
  if (result != Attach::kFailed && !detached_) run_workload();
  phase("teardown");
  settle();
  if (scenario_) {
    scenario_->stop(scaled(kGraceNs));
    scenario_->report();
  }
  if (plan_->own_view) state_own_view();
  end_scheduler();
  end_probe();
  finish();
}

// Without a limit: a person ends it, or its command does. A person may want to know why the scheduler did not attach; a command
// was meant for the VM with its scheduler.
void GuestRun::run_shell() {
  if (attach() != Attach::kFailed || plan_->shell->terminal) {
    shell_ = std::make_unique<GuestShell>(loop_, channel_);
    channel_.on_shell([this](const ShellMessage& message) { shell_->on_message(message); });
    shell_->start(*plan_->shell);
    loop_.run_until([this] { return shell_->over() || host_gone_; }, UINT64_MAX);
  }
  channel_.pump();
  end_scheduler();
  finish();
}

void GuestRun::say_hello() {
  utsname uts{};
  ::uname(&uts);
  GuestHelloT hello;
  hello.kernel_release = uts.release;
  hello.cpus = static_cast<uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  hello.sched_ext = SchedExtState::present();
  hello.boot_ns = clock_ns(CLOCK_BOOTTIME);
  hello.init_version = "1";
  channel_.send(std::move(hello));
  for (const std::string& text : boot_notes_) note(text);
  stage(Stage::InitStarted);  // last: whoever makes a template saves the VM when this has come
}

// A VM without a way in for the host's words has all that it needs in its initramfs.
Status GuestRun::take_plan() {
  if (path_exists(kGuestPlan)) return read_plan();
  if (channel_.input_fd() < 0)
    return Error::not_found(std::string("there is no ") + kGuestPlan +
                            " in the initramfs, and the channel brings nothing from the host");
  // Without a deadline: a template waits here for ever, and the host ends a VM that it cannot reach.
  loop_.run_until([this] { return handover_.over() || host_gone_; }, UINT64_MAX);
  if (!handover_.failure()) return handover_.failure();
  if (!handover_.finished())
    return Error::system("the host closed the channel before it handed over the test");
  return read_plan();
}

Status GuestRun::read_plan() {
  const Error damaged = Error::invalid(std::string(kGuestPlan) + " is damaged");
  auto bytes = read_binary(kGuestPlan, kMaxGuestPlan);
  if (!bytes) return std::move(bytes).error();
  if (bytes->size() < 8) return damaged;
  const auto* data = reinterpret_cast<const uint8_t*>(bytes->data());
  flatbuffers::Verifier verifier(data, bytes->size());
  if (!GuestPlanBufferHasIdentifier(data) || !VerifyGuestPlanBuffer(verifier)) return damaged;
  plan_ = UnPackGuestPlan(data);
  channel_.identify(plan_->run_id, plan_->vm, plan_->attempt);
  return {};
}

// The first word of the host. A template was saved while the guest waited for it.
void GuestRun::wake() {
  const HandoverStartedT& started = *handover_.started();
  if (started.restored) {
    if (auto set = set_wall_clock(started.unix_ns); !set) boot_notes_.push_back(set.error().message());
    if (auto set = stir_random(started.entropy); !set) boot_notes_.push_back(set.error().message());
    say_hello();  // the first one went to whoever made the template
  } else if (auto set = stir_random(started.entropy); !set) {
    note(set.error().message());
  }
}

void GuestRun::prepare() {
  auto add = [this](std::vector<std::string> notes) {
    boot_notes_.insert(boot_notes_.end(), notes.begin(), notes.end());
  };
  add(apply_kernel_settings());
  add(enable_cgroup_controllers());
  watch_children();
  watch_host();
  if (auto armed = cores_.arm(); !armed)
    add({"no backtraces of dying processes: " + armed.error().message()});
  if (auto on = tracer_.start(); !on) add({"sched_ext dump: " + on.error().message()});
  loop_.every(kTickNs, [this] {
    tracer_.poll();
    look_at_state();
    probe_.tick();
    gate_.pass();
    switcher_.tick(now_ns());
  });
  loop_.after_turn([this] { channel_.pump(); });
  if (!becomes_template()) return;
  probe_.start(true);
  loop_.run_until([this] { return probe_.waiting(); }, now_ns() + kTemplateProbeNs);
}

void GuestRun::watch_children() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, nullptr);
  child_signals_ = UniqueFd(::signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC));
  loop_.watch(child_signals_.get(), EPOLLIN, [this](uint32_t) {
    signalfd_siginfo info;
    while (::read(child_signals_.get(), &info, sizeof(info)) == sizeof(info)) {
    }
    reap();
  });
}

// The test, then commands of clients of the bus. When the host closes its end, the fd stays readable, so it is no longer
// watched.
void GuestRun::watch_host() {
  const int fd = channel_.input_fd();
  if (fd < 0) return;
  loop_.watch(fd, EPOLLIN, [this, fd](uint32_t events) {
    const bool open = channel_.take_input([this](const EventBuffer& event) {
      const bool asleep = !handover_.started();
      if (!handover_.on_event(event)) commands_.on_event(event);
      if (asleep && handover_.started()) wake();
    });
    if (open && (events & EPOLLIN) != 0) return;
    loop_.unwatch(fd);
    host_gone_ = true;
  });
}

void GuestRun::reap() {
  int status = 0;
  pid_t pid;
  rusage usage{};
  while ((pid = ::wait4(-1, &status, WNOHANG, &usage)) > 0) {
    if (pid == scheduler_.pid()) {
      scheduler_.on_end(status);
    } else if (pid == probe_.pid()) {
      probe_.on_end(status);
    } else if (commands_.on_end(pid, status) || (shell_ && shell_->on_end(pid, status))) {
      continue;
    } else if (scenario_) {
      scenario_->on_end(pid, status, usage);
    }
  }
}

GuestRun::Attach GuestRun::attach() {
  if (!plan_->spec->scheduler) return Attach::kNoScheduler;
  const SchedulerSpecT& spec = *plan_->spec->scheduler;
  phase("attach");
  if (!plan_->shell && probe_.begin(scaled(kProbeHangNs))) {
    auto ready = [this] { return probe_.kernel_probes_placed() || !probe_.alive(); };
    if (!loop_.run_until(ready, now_ns() + scaled(kProbeReadyNs))) probe_.give_up("did not get ready");
  }
  seq_before_ = sched_ext_.enable_seq();
  last_state_ = sched_ext_.state();
  if (plan_->determinism && plan_->determinism->attach_delay_ns != 0)
    loop_.run_until([] { return false; }, now_ns() + plan_->determinism->attach_delay_ns);
  const uint64_t started = now_ns();
  if (auto status = scheduler_.start(spec, probe_.begun() && probe_.alive()); !status) {
    fail(Stage::SchedulerStarted, "scheduler \"" + spec.name + "\": " + status.error().message());
    return Attach::kFailed;
  }
  SchedulerStartedT fact;
  fact.pid = static_cast<uint32_t>(scheduler_.pid());
  fact.argv.push_back(spec.guest_path);
  fact.argv.insert(fact.argv.end(), spec.args.begin(), spec.args.end());
  channel_.send(std::move(fact), started);
  stage(Stage::SchedulerStarted);
  if (probe_.begun()) probe_.scheduler_started(scheduler_.take_listener());
  if (auto status = wait_attached(started); !status) {
    fail(Stage::SchedulerStarted, "scheduler \"" + spec.name + "\" " + status.error().message());
    return Attach::kFailed;
  }
  note_attached(started);
  // A scheduler that registered by a map update was not held at its attach: its programs are read now, before there is load.
  loop_.run_until([this] { return probe_.looked(); }, now_ns() + scaled(kProbeLookNs));
  return Attach::kAttached;
}

Status GuestRun::wait_attached(uint64_t started_ns) {
  // The sequence number also shows a scheduler that was enabled and disabled between two checks.
  auto was_enabled = [this] {
    return sched_ext_.enable_seq() > seq_before_ ||
           (last_state_ != kScxStateEnabled && sched_ext_.state() == kScxStateEnabled);
  };
  const uint64_t limit = scaled(plan_->spec->attach_timeout_ns);
  loop_.run_until([&] { return was_enabled() || !scheduler_.running(); }, started_ns + limit);
  if (was_enabled()) return {};
  const std::string said = sched_ext_.state();
  const std::string state = said.empty() ? "this kernel has no sched_ext" : "sched_ext says \"" + said + "\"";
  scheduler_.drain_output(false);
  const std::string words =
      scheduler_.last_words().empty() ? "" : "; its last line: " + scheduler_.last_words();
  if (!scheduler_.running()) {
    return Error::invalid("ended (" + scheduler_.end()->to_string() + ") before sched_ext was enabled; " +
                          state + words);
  }
  char limit_text[64];
  std::snprintf(limit_text, sizeof(limit_text), "%.1f s (time scale %.2f)", static_cast<double>(limit) / 1e9,
                static_cast<double>(plan_->time_scale));
  return Error::timeout("did not attach within " + std::string(limit_text) + "; its process still runs; " +
                        state + words);
}

void GuestRun::note_attached(uint64_t started_ns) {
  attached_ = true;
  ops_name_ = sched_ext_.ops();
  last_state_ = kScxStateEnabled;
  SchedulerAttachedT fact;
  fact.ops_name = ops_name_;
  fact.enable_seq = std::max(sched_ext_.enable_seq(), seq_before_ + 1);  // the state changes a little earlier
  fact.elapsed_ns = now_ns() - started_ns;
  enabled_seq_ = fact.enable_seq;
  channel_.send(std::move(fact));
  stage(Stage::SchedulerAttached, ops_name_);
  if (probe_.begun()) probe_.scheduler_enabled();
  look_at_state();
}

// Told once it was attached: every change of the state.
void GuestRun::look_at_state() {
  if (!attached_) return;
  const std::string state = sched_ext_.state();
  const uint64_t seq = sched_ext_.enable_seq();
  auto tell_detached = [&](const std::string& now) {
    if (!detached_) detached_ns_ = now_ns();
    detached_ = true;
    SchedulerDetachedT fact;
    fact.state = now;
    fact.ops_name = ops_name_;
    channel_.send(std::move(fact));
  };
  if (state != last_state_) {
    last_state_ = state;
    if (state != kScxStateEnabled && state != kScxStateEnabling) tell_detached(state);
  }
  // Enabled anew: a scheduler that starts itself again, or a second one.
  if (seq > enabled_seq_ && state == kScxStateEnabled) {
    enabled_seq_ = seq;
    if (!detached_) tell_detached("disabled");  // between two looks
    note_restart();
  }
}

void GuestRun::note_restart() {
  detached_ = false;
  ops_name_ = sched_ext_.ops();
  SchedulerAttachedT fact;
  fact.ops_name = ops_name_;
  fact.enable_seq = enabled_seq_;
  fact.elapsed_ns = now_ns() - detached_ns_;
  fact.restart = ++restarts_;
  channel_.send(std::move(fact));
  if (probe_.begun()) probe_.scheduler_enabled();
}

// A scheduler that left without an error, and whose process lives, may load itself anew: after a change of the CPUs the
// kernel asks for it. It gets the time that its first attach had.
bool GuestRun::gone_for_good() {
  if (!detached_) return false;
  return !scheduler_.running() || tracer_.last_line_ns() != 0 ||
         now_ns() - detached_ns_ > scaled(plan_->spec->attach_timeout_ns);
}

void GuestRun::run_workload() {
  phase("workload");
  scenario_ = std::make_unique<Scenario>(
      loop_, channel_, cores_,
      ScenarioOptions{.spec = *plan_->spec,
                      .time_scale = std::max(1.0, static_cast<double>(plan_->time_scale)),
                      .phase = [this](const std::string& name) { phase(name.c_str()); },
                      .before_go = start_pause()});
  if (auto status = scenario_->start(); !status) {
    // A scheduler whose ops.init_task fails refuses every fork, init's own as well.
    fail(Stage::WorkloadStarted, "workload: " + status.error().message(), fork_error());
    scenario_->stop(scaled(kGraceNs));
    return;
  }
  switcher_.workload_started(now_ns(), plan_->spec->duration_ns);
  stage(Stage::WorkloadStarted, std::to_string(scenario_->workers()) + " workers");
  // sched_ext's state decides: a scheduler may go on after its process has ended (a pinned link, a daemon).
  scenario_->run([this] { return gone_for_good(); });
  if (detached_)
    loop_.run_until([this] { return !detached_ || gone_for_good(); }, now_ns() + scaled(kRestartNs));
  switcher_.workload_finished();
  scenario_->ask_to_stop();
  stage(Stage::WorkloadFinished, detached_ ? "ended early: sched_ext is not enabled any more" : "");
}

std::function<void()> GuestRun::start_pause() {
  if (!plan_->determinism || plan_->determinism->start_spread_ns == 0) return {};
  return [this, random = std::minstd_rand(static_cast<uint32_t>(plan_->determinism->seed))]() mutable {
    loop_.run_until([] { return false; }, now_ns() + random() % plan_->determinism->start_spread_ns);
  };
}

// After a detach, waits for the kernel's dump, its console output and the scheduler's output.
void GuestRun::settle() {
  if (!scheduler_.started()) return;
  if (!detached_ && scheduler_.running()) return;
  const uint64_t since = now_ns();
  auto quiet = [&] {
    const uint64_t last = std::max({since, tracer_.last_line_ns(), scheduler_.last_output_ns()});
    return !scheduler_.running() && sched_ext_.state() != kScxStateDisabling && now_ns() - last > kQuietNs;
  };
  loop_.run_until(quiet, since + scaled(kSettleNs));
  if (!scheduler_.running()) scheduler_ended();
}

// It waits before and after, so that some of the monitor's samples fall on either side with nothing going on.
void GuestRun::state_own_view() {
  constexpr uint64_t kQuiet = 300 * kMs;
  loop_.run_until([] { return false; }, now_ns() + kQuiet);
  GuestViewT view = take_own_view();
  loop_.run_until([] { return false; }, now_ns() + kQuiet);
  channel_.send(std::move(view));
}

void GuestRun::end_scheduler() {
  if (!scheduler_.started()) return;
  auto ended = [this] { return !scheduler_.running(); };
  // SIGINT first: that is what schedulers are used to, and lets them print their statistics.
  for (int signo : {SIGINT, SIGKILL}) {
    if (ended()) break;
    scheduler_.signal(signo);
    loop_.run_until(ended, now_ns() + scaled(kGraceNs));
  }
  scheduler_ended();
}

void GuestRun::scheduler_ended() {
  if (exit_told_) return;
  exit_told_ = true;
  tracer_.poll();
  look_at_state();
  scheduler_.drain_output(true);
  SchedulerExitedT fact;
  fact.pid = static_cast<uint32_t>(scheduler_.pid());
  if (scheduler_.end()) {
    fact.exit_code = scheduler_.end()->exit_code;
    fact.signal = scheduler_.end()->signal;
    if (scheduler_.end()->dumped_core) fact.core_frames = cores_.backtrace(scheduler_.pid(), scaled(kCoreNs));
  } else {
    note("the scheduler's process does not end, not even killed");
  }
  fact.attached = attached_;
  fact.requested = scheduler_.end_requested();
  channel_.send(std::move(fact));
}

void GuestRun::end_probe() {
  if (!probe_.begun()) return;
  probe_.finish();
  if (!loop_.run_until([this] { return probe_.done(); }, now_ns() + scaled(kProbeDoneNs)))
    note("ktstr-probe did not finish: some of its hits may be missing");
}

void GuestRun::finish() {
  commands_.stop(scaled(kGraceNs));
  tracer_.poll();
  stage(Stage::GuestFinished);
  GuestFinishedT fact;
  fact.clean = !failed_;
  fact.frames_sent = channel_.frames();
  fact.lines_dropped = scheduler_.dropped_lines() + channel_.dropped();
  if (scenario_) fact.lines_dropped += scenario_->dropped_lines();
  channel_.send(std::move(fact));
  channel_.drain(kDrainMs);
}

void GuestRun::stage(Stage stage, std::string detail) {
  StageReachedT fact;
  fact.stage = stage;
  fact.detail = std::move(detail);
  channel_.send(std::move(fact));
  channel_.pump();  // what follows may be the kernel's end
  gate_.pass(stage);
}

void GuestRun::fail(Stage stage, std::string error, int fork_error) {
  failed_ = true;
  GuestFailedT fact;
  fact.stage = stage;
  fact.error = std::move(error);
  fact.fork_error = fork_error;
  channel_.send(std::move(fact));
}

void GuestRun::phase(const char* name) {
  PhaseStartedT fact;
  fact.name = name;
  fact.index = phases_++;
  channel_.send(std::move(fact));
}

// For a person who looks into the log; no failure of the run.
void GuestRun::note(const std::string& text) {
  CollectorLineT fact;
  fact.text = text;
  channel_.send(std::move(fact));
}

uint64_t GuestRun::scaled(uint64_t ns) const {
  const double scale = plan_ && plan_->time_scale > 1 ? static_cast<double>(plan_->time_scale) : 1.0;
  return static_cast<uint64_t>(static_cast<double>(ns) * scale);
}

}  // namespace ktstr::guest
