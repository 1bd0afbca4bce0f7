#include "workload/worker_batch.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

#include "base/clock.h"
#include "base/exec_report.h"
#include "base/small_files.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "workload/cgroups.h"
#include "workload/futex.h"

namespace ktstr {
namespace {

constexpr uint64_t kNudgeNs = 20 * kMs;

// Everything of init's but these: a ring's pipe whose peer is gone must not be held open here.
void close_all_but(int a, int b) {
  const int low = std::min(a, b), high = std::max(a, b);
  if (low < 0) {
    ::syscall(SYS_close_range, 3, ~0u, 0);
    return;
  }
  if (low > 3) ::syscall(SYS_close_range, 3, low - 1, 0);
  if (high > low + 1) ::syscall(SYS_close_range, low + 1, high - 1, 0);
  ::syscall(SYS_close_range, high + 1, ~0u, 0);
}

[[noreturn]] void worker_main(const WorkerSetup& setup) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  struct sigaction nudge{};
  nudge.sa_handler = [](int) {};  // no SA_RESTART: it ends a blocked call
  ::sigaction(SIGUSR1, &nudge, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // a peer that ended first
  ::signal(SIGTERM, SIG_IGN);  // for the body that started it (ktstr/test.h), not for it
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!setup.function) close_all_but(setup.pipe_in, setup.pipe_out);
  run_worker(setup);
  ::_exit(0);
}

[[noreturn]] void program_main(const WorkerSetup& setup, const WorkerProgram& program) {
  std::vector<char*> argv, env;
  for (const auto& word : program.argv) argv.push_back(const_cast<char*>(word.c_str()));
  for (const auto& word : program.env) env.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  env.push_back(nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(program.out, 1);
  ::dup2(program.err, 2);
  close_all_but(-1, -1);
  wait_for_go(*setup.control);
  ::execve(argv[0], argv.data(), env.data());
  ::dprintf(2, "%s: %s\n", argv[0], std::strerror(errno));
  ::_exit(127);
}

int kernel_policy(SchedPolicy policy) {
  switch (policy) {
    case SchedPolicy::Batch:
      return SCHED_BATCH;
    case SchedPolicy::Idle:
      return SCHED_IDLE;
    case SchedPolicy::Fifo:
      return SCHED_FIFO;
    case SchedPolicy::RoundRobin:
      return SCHED_RR;
    case SchedPolicy::Ext:
      return 7;  // SCHED_EXT
    default:
      return SCHED_OTHER;
  }
}

Status bind_to(pid_t pid, const std::string& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (unsigned cpu : cpus_of(cpus)) CPU_SET(cpu, &set);
  if (::sched_setaffinity(pid, sizeof set, &set) != 0)
    return Error::from_errno("bind worker to CPUs " + cpus + " (within its cgroup's cpuset)");
  return {};
}

}  // namespace

WorkerBatch::~WorkerBatch() {
  if (control_) ::munmap(control_, mapped_bytes_);
}

Status WorkerBatch::map_slots(size_t count) {
  constexpr size_t kPage = 4096;
  static_assert(sizeof(WorkloadControl) <= kPage);
  mapped_bytes_ = kPage + count * sizeof(WorkerSlot);
  void* memory = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error::from_errno("memory shared with the workers");
  control_ = new (memory) WorkloadControl;
  for (auto& word : control_->allowed) word.store(~uint64_t{0});
  slots_ = reinterpret_cast<WorkerSlot*>(static_cast<char*>(memory) + kPage);
  for (size_t i = 0; i < count; ++i) new (&slots_[i]) WorkerSlot;
  return {};
}

Status WorkerBatch::make_rings() {
  if (work_info(group_.work).grouping != WorkGrouping::kPairs) return {};
  for (size_t i = 0; i < members_.size(); ++i) {
    const RingPlace place = ring_place(i, members_.size());
    Member &from = members_[i], &to = members_[place.next];
    from.setup.next = to.slot;
    from.setup.has_token = place.has_token;
    if (!uses_pipe(group_.work)) continue;
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return Error::from_errno("pipe of a worker");
    pipes_.emplace_back(fds[0]);
    pipes_.emplace_back(fds[1]);
    to.setup.pipe_in = fds[0];
    from.setup.pipe_out = fds[1];
  }
  return {};
}

void WorkerBatch::make_groups() {
  const WorkGrouping grouping = work_info(group_.work).grouping;
  if (grouping != WorkGrouping::kFanOut && grouping != WorkGrouping::kContenders) return;
  const size_t size = group_size(group_);
  for (size_t i = 0; i < members_.size(); ++i) {
    WorkerSetup& setup = members_[i].setup;
    const size_t first = i - i % size;
    setup.place = static_cast<uint32_t>(i % size);
    setup.head = members_[first].slot;
    // Where the last answer's time is: with the first receiver.
    setup.next = members_[std::min(first + 1, members_.size() - 1)].slot;
  }
}

Status WorkerBatch::fork_member(Member& member, int folder, const WorkerProgram* program) {
  const std::string name = (group_.name.substr(0, 10) + "/" + std::to_string(member.index)).substr(0, 15);
  // A child takes its parent's name over. One that is never run could not set its own, and would be told as init.
  char own[16] = {};
  ::prctl(PR_GET_NAME, own);
  ::prctl(PR_SET_NAME, name.c_str());
  pid_t pid = fork_into(folder);
  if (pid != 0) ::prctl(PR_SET_NAME, own);
  if (pid == 0) program ? program_main(member.setup, *program) : worker_main(member.setup);
  if (pid < 0) return Error::from_errno("fork worker " + name + " into its cgroup");
  member.pid = pid;
  return apply_policy(member);
}

// While it waits to be let go.
Status WorkerBatch::apply_policy(const Member& member) const {
  if (group_.policy != SchedPolicy::Inherit) {
    sched_param priority{};
    priority.sched_priority = static_cast<int>(group_.priority);
    if (::sched_setscheduler(member.pid, kernel_policy(group_.policy), &priority) != 0)
      return Error::from_errno("policy " + std::string(EnumNameSchedPolicy(group_.policy)) +
                               " of a worker of " + group_.name);
  }
  if (group_.nice != 0 && ::setpriority(PRIO_PROCESS, static_cast<id_t>(member.pid), group_.nice) != 0)
    return Error::from_errno("nice level of a worker of " + group_.name);
  return group_.affinity.empty() ? Status() : bind_to(member.pid, group_.affinity);
}

Status WorkerBatch::fork(int folder, const WorkerProgram* program) {
  if (auto mapped = map_slots(group_.workers); !mapped) return mapped;
  if (program) good_exit_ = program->exit_code;
  members_.resize(group_.workers);
  for (uint32_t i = 0; i < group_.workers; ++i) {
    Member& m = members_[i];
    m.index = first_index_ + i;
    m.slot = &slots_[i];
    m.setup.group = &group_;
    m.setup.control = control_;
    if (function_) m.setup.function = &function_;
    m.setup.index = i;
    m.setup.self = m.setup.next = m.setup.head = m.slot;
  }
  Status status = make_rings();
  make_groups();
  for (Member& m : members_)
    if (status) status = fork_member(m, folder, program);
  pipes_.clear();
  if (!status) {
    control_->stop.store(1);
    signal_running(SIGKILL);
  }
  return status;
}

void WorkerBatch::go(uint64_t go_ns) {
  control_->go_ns.store(go_ns);
  control_->go.store(1);
  futex_wake(control_->go);
}

void WorkerBatch::ask_to_stop() {
  if (!control_ || stopped()) return;
  for (Member& m : members_) read_schedstat(m);
  stop_ns_ = now_ns();
  control_->stop.store(1);
  signal_running(custom() ? SIGTERM : SIGUSR1);
}

void WorkerBatch::stop(uint64_t deadline_ns, uint64_t after_ns) {
  if (!control_) return;
  ask_to_stop();
  auto none_left = [this] { return running() == 0; };
  // A worker may block just after the flag was raised and the signal came: so the signal is repeated.
  while (now_ns() < deadline_ns && running() > 0) {
    signal_running(custom() ? SIGTERM : SIGUSR1);
    loop_.run_until(none_left, std::min(deadline_ns, now_ns() + kNudgeNs));
  }
  for (Member& m : members_) {
    m.killed = m.killed || (m.pid > 0 && !m.ended);
    if (m.killed) close_gap(m.slot->telemetry);
  }
  signal_running(SIGKILL);
  // One that is never dispatched cannot even die before the scheduler ends.
  loop_.run_until(none_left, now_ns() + after_ns);
}

// A worker that never looked at the clock again: its gap lasts until the workload's end.
void WorkerBatch::close_gap(Telemetry& t) const {
  if (custom()) return;
  if (t.start_ns == 0) t.start_ns = t.last_ns = control_->go_ns.load();
  if (stop_ns_ <= t.last_ns) return;
  if (stop_ns_ - t.last_ns > t.longest_gap_ns) {
    t.longest_gap_ns = stop_ns_ - t.last_ns;
    t.gap_at_ns = stop_ns_;
    t.gap_cpu = t.cpu;
  }
  t.last_ns = stop_ns_;
}

void WorkerBatch::allow(const std::vector<unsigned>& cpus, bool keep_old, const std::string& text) {
  cpuset_ = text;
  if (!control_) return;
  uint64_t words[kMaxCpus / 64] = {};
  for (unsigned cpu : cpus)
    if (cpu < kMaxCpus) words[cpu / 64] |= uint64_t{1} << (cpu % 64);
  for (size_t i = 0; i < std::size(words); ++i) {
    const uint64_t wanted = cpus.empty() ? ~uint64_t{0} : words[i];
    control_->allowed[i].store(keep_old ? control_->allowed[i].load() | wanted : wanted);
  }
  const uint32_t changes = control_->allowed_changes.load();
  control_->allowed_changes.store(keep_old ? changes | 1 : (changes | 1) + 1);
}

Status WorkerBatch::set_affinity(const std::string& cpus) {
  for (const Member& m : members_) {
    if (m.pid <= 0 || m.ended) continue;
    if (auto bound = bind_to(m.pid, cpus); !bound) return bound;
  }
  return {};
}

bool WorkerBatch::on_end(pid_t pid, int wait_status, const rusage& usage) {
  for (Member& m : members_) {
    if (m.pid != pid || m.ended) continue;  // the number of one that ended may be given again
    m.ended = true;
    m.ended_ns = now_ns();
    m.exit_code = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    if (!custom()) return true;
    auto ns = [](const timeval& t) {
      return static_cast<uint64_t>(t.tv_sec) * kSecond + static_cast<uint64_t>(t.tv_usec) * 1000;
    };
    m.run_ns = std::max(m.run_ns, ns(usage.ru_utime) + ns(usage.ru_stime));
    const bool asked = stopped() && WIFSIGNALED(wait_status) && ends_as_asked(WTERMSIG(wait_status));
    m.exit_code = asked || m.exit_code == good_exit_ ? 0 : m.exit_code == 0 ? 1 : m.exit_code;
    return true;
  }
  return false;
}

size_t WorkerBatch::running() const {
  return static_cast<size_t>(
      std::count_if(members_.begin(), members_.end(), [](const Member& m) { return m.pid > 0 && !m.ended; }));
}

void WorkerBatch::signal_running(int signo) {
  for (const Member& m : members_) {
    if (m.pid > 0 && !m.ended) ::kill(m.pid, signo);
  }
}

void WorkerBatch::read_schedstat(Member& member) const {
  if (member.pid <= 0 || member.ended) return;
  const std::string text = read_text_or("/proc/" + std::to_string(member.pid) + "/schedstat", "");
  unsigned long long run = 0, wait = 0;
  if (std::sscanf(text.c_str(), "%llu %llu", &run, &wait) != 2) return;
  member.run_ns = run;
  member.wait_ns = wait;
}

std::vector<pid_t> WorkerBatch::pids() const {
  std::vector<pid_t> all;
  for (const Member& m : members_)
    if (m.pid > 0) all.push_back(m.pid);
  return all;
}

std::vector<WorkerReportT> WorkerBatch::reports() const {
  std::vector<WorkerReportT> all;
  // Never let go, since not all could be started: they did nothing that could be reported.
  if (!control_ || control_->go.load() == 0) return all;
  auto list = [](const uint64_t(&words)[kMaxCpus / 64]) {
    std::vector<uint16_t> cpus;
    for (unsigned cpu = 0; cpu < kMaxCpus; ++cpu)
      if (words[cpu / 64] >> (cpu % 64) & 1) cpus.push_back(static_cast<uint16_t>(cpu));
    return cpus;
  };
  for (const Member& m : members_) {
    if (m.pid <= 0) continue;
    const Telemetry& t = m.slot->telemetry;
    WorkerReportT r;
    r.cgroup = group_.name;
    r.index = m.index;
    r.pid = static_cast<uint32_t>(m.pid);
    r.work = function_ ? WorkType::Custom : group_.work;
    r.function = static_cast<bool>(function_);
    r.messenger = !function_ && is_messenger(group_.work, m.setup.place);
    r.iterations = t.iterations;
    r.cpus = list(t.cpus);
    r.outside_cpus = list(t.outside);
    r.wall_ns = t.last_ns - t.start_ns;
    if (custom())
      r.wall_ns = std::max(m.ended ? std::min(m.ended_ns, stop_ns_) : stop_ns_, control_->go_ns.load()) -
                  control_->go_ns.load();
    r.run_ns = m.run_ns;
    r.wait_ns = m.wait_ns;
    r.longest_gap_ns = t.longest_gap_ns;
    r.gap_at_ns = t.gap_at_ns;
    r.gap_cpu = t.gap_cpu;
    r.migrations = t.migrations;
    r.wakeups = t.wakeups;
    r.wake_p50_ns = t.wake.percentile(50);
    r.wake_p99_ns = t.wake.percentile(99);
    r.wake_max_ns = t.wake.max();
    r.wake_mean_ns = static_cast<uint64_t>(t.wake.mean());
    r.wake_stddev_ns = static_cast<uint64_t>(t.wake.stddev());
    r.exit_code = m.exit_code;
    r.killed = m.killed;
    r.cpuset = cpuset_;
    r.step = step_;
    for (const OperationFailures& f : t.failures) {
      if (f.count == 0) continue;
      auto error = std::make_unique<WorkerErrorT>();
      error->what = operation_name(f.operation);
      error->error = f.error;
      error->count = f.count;
      r.errors.push_back(std::move(error));
    }
    all.push_back(std::move(r));
  }
  return all;
}

}  // namespace ktstr
