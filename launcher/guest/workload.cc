#include "launcher/guest/workload.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstring>
#include <new>

#include "launcher/guest/guest_files.h"
#include "launcher/guest/ring_layout.h"

namespace ktstr::guest {
namespace {

constexpr char kCgroupRoot[] = "/sys/fs/cgroup/";
constexpr size_t kMaxWorkers = 4096;
constexpr uint64_t kNudgeNs = 20 * kMs;

bool passes_token(WorkType work) { return work == WorkType::PipeIo || work == WorkType::FutexPingPong; }

[[noreturn]] void worker_main(const std::string& name, const WorkerSetup& setup) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  struct sigaction nudge {};
  nudge.sa_handler = [](int) {};  // no SA_RESTART: it ends a blocked call
  ::sigaction(SIGUSR1, &nudge, nullptr);
  ::signal(SIGPIPE, SIG_IGN);  // a peer that ended first
  ::prctl(PR_SET_NAME, name.c_str());
  // Everything of init's but the ring's pipe: a peer that is gone must not be held open here.
  const int keep_low = std::min(setup.pipe_in, setup.pipe_out),
            keep_high = std::max(setup.pipe_in, setup.pipe_out);
  if (keep_low < 0) {
    ::syscall(SYS_close_range, 3, ~0u, 0);
  } else {
    if (keep_low > 3) ::syscall(SYS_close_range, 3, keep_low - 1, 0);
    if (keep_high > keep_low + 1) ::syscall(SYS_close_range, keep_low + 1, keep_high - 1, 0);
    ::syscall(SYS_close_range, keep_high + 1, ~0u, 0);
  }
  run_worker(setup);
  ::_exit(0);
}

// fork(2) straight into the group, so that a worker never runs anywhere else.
pid_t fork_into(int group_folder) {
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<uint64_t>(group_folder);
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
}

}  // namespace

Workload::~Workload() {
  if (control_) ::munmap(control_, mapped_bytes_);
}

Status Workload::map_slots(size_t count) {
  constexpr size_t kPage = 4096;
  mapped_bytes_ = kPage + count * sizeof(WorkerSlot);
  void* memory = ::mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return Error::from_errno("memory shared with the workers");
  control_ = new (memory) WorkloadControl;
  slots_ = reinterpret_cast<WorkerSlot*>(static_cast<char*>(memory) + kPage);
  for (size_t i = 0; i < count; ++i) new (&slots_[i]) WorkerSlot;
  return {};
}

Status Workload::make_group(const CgroupSpecT& group, UniqueFd& folder) {
  const std::string path = kCgroupRoot + group.name;
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return Error::from_errno("cgroup " + path);
  if (!group.cpuset.empty()) {
    if (auto set = write_text(path + "/cpuset.cpus", group.cpuset); !set)
      return std::move(set).error().within("cgroup " + group.name);
  }
  folder = UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return Error::from_errno("open cgroup " + path);
  return {};
}

// Members first .. first + count - 1 are one group.
Status Workload::make_rings(size_t first, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    Member& from = members_[first + i];
    if (!passes_token(from.setup.work)) return {};
    const RingPlace place = ring_place(i, count);
    Member& to = members_[first + place.next];
    from.setup.next = to.slot;
    from.setup.has_token = place.has_token;
    if (from.setup.work != WorkType::PipeIo) continue;
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return Error::from_errno("pipe of a PipeIo worker");
    pipes_.emplace_back(fds[0]);
    pipes_.emplace_back(fds[1]);
    to.setup.pipe_in = fds[0];
    from.setup.pipe_out = fds[1];
  }
  return {};
}

Status Workload::fork_member(Member& member, int group_folder) {
  const std::string name =
      (member.group->name.substr(0, 10) + "/" + std::to_string(member.index)).substr(0, 15);
  pid_t pid = fork_into(group_folder);
  if (pid == 0) worker_main(name, member.setup);
  if (pid < 0) return Error::from_errno("fork worker " + name + " into its cgroup");
  member.pid = pid;
  return {};
}

Status Workload::start() {
  size_t count = 0;
  for (const auto& group : spec_.cgroups) count += group->workers;
  if (count > kMaxWorkers)
    return Error::exhausted(std::to_string(count) + " workers are more than the limit of " +
                            std::to_string(kMaxWorkers));
  if (auto mapped = map_slots(count); !mapped) return mapped;
  members_.resize(count);

  Status status;
  size_t at = 0;
  for (const auto& group : spec_.cgroups) {
    const size_t first = at;
    for (uint32_t i = 0; i < group->workers; ++i, ++at) {
      Member& m = members_[at];
      m.group = group.get();
      m.index = i;
      m.slot = &slots_[at];
      m.setup.work = group->work;
      m.setup.burst_ns = group->burst_ns;
      m.setup.pause_ns = group->pause_ns;
      m.setup.control = control_;
      m.setup.self = m.setup.next = m.slot;
    }
    UniqueFd folder;
    status = make_group(*group, folder);
    if (status) status = make_rings(first, group->workers);
    for (size_t i = first; status && i < at; ++i) status = fork_member(members_[i], folder.get());
    if (!status) break;
  }
  pipes_.clear();
  if (!status) {
    control_->stop.store(1);
    signal_running(SIGKILL);
    return status;
  }
  control_->go_ns.store(now_ns());
  control_->go.store(1);
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&control_->go), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  return {};
}

void Workload::ask_to_stop() {
  if (!control_ || control_->stop.load() != 0) return;
  for (Member& m : members_) read_schedstat(m);
  stop_ns_ = now_ns();
  control_->stop.store(1);
  signal_running(SIGUSR1);
}

void Workload::stop(uint64_t grace_ns) {
  if (!control_) return;
  ask_to_stop();
  auto none_left = [this] { return running() == 0; };
  // A worker may block just after the flag was raised and the signal came: so the signal is repeated.
  for (const uint64_t deadline = now_ns() + grace_ns; now_ns() < deadline && running() > 0;) {
    signal_running(SIGUSR1);
    loop_.run_until(none_left, std::min(deadline, now_ns() + kNudgeNs));
  }
  for (Member& m : members_) {
    m.killed = m.pid > 0 && !m.ended;
    if (m.killed) close_gap(m.slot->telemetry);
  }
  signal_running(SIGKILL);
  // One that is never dispatched cannot even die before the scheduler ends.
  loop_.run_until(none_left, now_ns() + grace_ns / 5);
}

// A worker that never looked at the clock again: its gap lasts until the workload's end.
void Workload::close_gap(Telemetry& t) const {
  if (t.start_ns == 0) t.start_ns = t.last_ns = control_->go_ns.load();
  if (stop_ns_ <= t.last_ns) return;
  if (stop_ns_ - t.last_ns > t.longest_gap_ns) {
    t.longest_gap_ns = stop_ns_ - t.last_ns;
    t.gap_at_ns = stop_ns_;
    t.gap_cpu = t.cpu;
  }
  t.last_ns = stop_ns_;
}

bool Workload::on_end(pid_t pid, int wait_status) {
  for (Member& m : members_) {
    if (m.pid != pid) continue;
    m.ended = true;
    m.exit_code = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    return true;
  }
  return false;
}

size_t Workload::running() const {
  return static_cast<size_t>(
      std::count_if(members_.begin(), members_.end(), [](const Member& m) { return m.pid > 0 && !m.ended; }));
}

void Workload::signal_running(int signo) {
  for (const Member& m : members_) {
    if (m.pid > 0 && !m.ended) ::kill(m.pid, signo);
  }
}

void Workload::read_schedstat(Member& member) const {
  if (member.pid <= 0 || member.ended) return;
  const std::string text = read_text_or("/proc/" + std::to_string(member.pid) + "/schedstat", "");
  unsigned long long run = 0, wait = 0;
  if (std::sscanf(text.c_str(), "%llu %llu", &run, &wait) != 2) return;
  member.run_ns = run;
  member.wait_ns = wait;
}

void Workload::report(EventChannel& channel) const {
  for (const Member& m : members_) {
    if (m.pid <= 0) continue;
    const Telemetry& t = m.slot->telemetry;
    WorkerReportT r;
    r.cgroup = m.group->name;
    r.index = m.index;
    r.pid = static_cast<uint32_t>(m.pid);
    r.work = m.group->work;
    r.iterations = t.iterations;
    for (unsigned cpu = 0; cpu < kMaxCpus; ++cpu) {
      if (t.cpus[cpu / 64] >> (cpu % 64) & 1) r.cpus.push_back(static_cast<uint16_t>(cpu));
    }
    r.wall_ns = t.last_ns - t.start_ns;
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
    r.exit_code = m.exit_code;
    r.killed = m.killed;
    channel.send(std::move(r));
  }
}

}  // namespace ktstr::guest
