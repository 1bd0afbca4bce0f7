// Worker processes of a body. Each keeps its telemetry in memory that it shares with the body, mapped before the fork.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/unique_fd.h"
#include "sdk/test_context_impl.h"

namespace ktstr {
namespace {

using std::chrono::nanoseconds;

constexpr unsigned kMaxWorkers = 4096;
constexpr unsigned kMaxCpus = 1024;
constexpr nanoseconds kGrace = std::chrono::seconds(5);

uint64_t now_ns() {
  timespec ts{};
  ::clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<uint64_t>(ts.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(ts.tv_nsec);
}

struct Slot {
  uint64_t start_ns, last_ns, iterations, longest_gap_ns, migrations, run_ns, wait_ns;
  int cpu, gap_cpu;
  uint64_t cpus[kMaxCpus / 64];
};

struct Shared {
  std::atomic<uint32_t> stop;
  Slot slots[1];  // as many as there are workers
};

class Loop : public WorkLoop {
 public:
  Loop(Shared& shared, unsigned index) : shared_(shared), slot_(shared.slots[index]), index_(index) {
    slot_.start_ns = slot_.last_ns = now_ns();
    slot_.cpu = slot_.gap_cpu = -1;
  }
  bool running() const override { return shared_.stop.load(std::memory_order_relaxed) == 0; }
  unsigned index() const override { return index_; }
  void iteration() override {
    ++slot_.iterations;
    look();
  }
  void sleep(nanoseconds time) override {
    look();
    const auto ns = time.count();
    timespec left{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
    ::nanosleep(&left, nullptr);
    slot_.last_ns = now_ns();
  }
  void look() {
    const uint64_t now = now_ns();
    const int cpu = ::sched_getcpu();
    if (now - slot_.last_ns > slot_.longest_gap_ns) {
      slot_.longest_gap_ns = now - slot_.last_ns;
      slot_.gap_cpu = cpu;
    }
    slot_.last_ns = now;
    if (slot_.cpu >= 0 && cpu != slot_.cpu) ++slot_.migrations;
    slot_.cpu = cpu;
    if (cpu >= 0 && static_cast<unsigned>(cpu) < kMaxCpus) slot_.cpus[cpu / 64] |= uint64_t{1} << (cpu % 64);
  }
  void finish() {
    look();
    std::ifstream stat("/proc/self/schedstat");
    stat >> slot_.run_ns >> slot_.wait_ns;
  }

 private:
  Shared& shared_;
  Slot& slot_;
  unsigned index_;
};

// About a hundred microseconds on a machine of the usual speed.
void compute() {
  for (volatile unsigned i = 0; i < 50'000;) i = i + 1;
}

WorkFunction standard_work(const std::string& name) {
  using std::chrono::milliseconds;
  if (name == "CpuSpin")
    return [](WorkLoop& w) {
      for (; w.running(); w.iteration()) compute();
    };
  if (name == "YieldHeavy")
    return [](WorkLoop& w) {
      for (; w.running(); w.iteration()) {
        compute();
        ::sched_yield();
      }
    };
  if (name == "Bursty")
    return [](WorkLoop& w) {
      while (w.running()) {
        for (const uint64_t until = now_ns() + 5'000'000; now_ns() < until && w.running(); w.iteration()) compute();
        w.sleep(milliseconds(5));
      }
    };
  if (name == "Mixed")
    return [](WorkLoop& w) {
      for (; w.running(); w.iteration()) {
        compute();
        ::sched_yield();
        w.sleep(milliseconds(1));
      }
    };
  if (name == "ForkExit")
    return [](WorkLoop& w) {
      for (; w.running(); w.iteration())
        if (const pid_t child = ::fork(); child == 0)
          ::_exit(0);
        else if (child > 0)
          ::waitpid(child, nullptr, 0);
    };
  return nullptr;
}

// "0-2,5" as a set; empty when it is not a list.
std::vector<bool> cpu_set(const std::string& list) {
  std::vector<bool> set(kMaxCpus);
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ',');) {
    unsigned from = 0, to = 0;
    const int n = std::sscanf(part.c_str(), "%u-%u", &from, &to);
    if (n < 1) return {};
    for (unsigned cpu = from; cpu <= (n == 2 ? to : from) && cpu < kMaxCpus; ++cpu) set[cpu] = true;
  }
  return set;
}

}  // namespace

struct Workers::State {
  TestContext::Impl* ctx = nullptr;
  std::string cgroup;
  Shared* shared = nullptr;
  size_t bytes = 0;
  std::vector<pid_t> pids;
  bool recut_at_start = false;
  std::optional<std::vector<WorkerResult>> results;

  ~State() {
    if (shared) ::munmap(shared, bytes);
  }
  std::vector<WorkerResult> stop();
  WorkerResult result_of(unsigned index, int exit_code, const std::vector<bool>& allowed) const;
};

Workers Cgroup::spawn(unsigned count, const std::string& work) {
  WorkFunction function = standard_work(work);
  if (!function) {
    ctx_->error("cgroup " + name_ + ": work \"" + work +
                "\": a body can start CpuSpin, YieldHeavy, Bursty, Mixed and ForkExit; declare others in .cgroups");
    count = 0;
  }
  return spawn(count, std::move(function));
}

Workers Cgroup::spawn(unsigned count, WorkFunction work) {
  auto state = std::make_shared<Workers::State>();
  TestContext::Impl& impl = ctx_->impl();
  state->ctx = &impl;
  state->cgroup = name_;
  impl.workers.push_back(state);
  impl.recut.erase(name_);
  if (count > kMaxWorkers) {
    ctx_->error("cgroup " + name_ + ": " + std::to_string(count) + " workers; " + std::to_string(kMaxWorkers) + " is the most");
    count = 0;
  }
  state->bytes = sizeof(Shared) + count * sizeof(Slot);
  void* memory = ::mmap(nullptr, state->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    ctx_->error("cgroup " + name_ + ": memory for workers: " + std::strerror(errno));
    return Workers(state);
  }
  state->shared = new (memory) Shared{};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    ctx_->error(std::string("pipe: ") + std::strerror(errno));
    return Workers(state);
  }
  UniqueFd wait_end(ends[0]), go_end(ends[1]);
  std::fflush(nullptr);
  for (unsigned i = 0; i < count; ++i) {
    const pid_t body = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) {
      ctx_->error("cgroup " + name_ + ": fork: " + std::strerror(errno));
      break;
    }
    if (pid == 0) {
      ::signal(SIGTERM, SIG_DFL);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != body) ::_exit(1);
      ::prctl(PR_SET_NAME, (name_ + "/" + std::to_string(i)).substr(0, 15).c_str());
      go_end.reset();
      char byte;
      while (::read(wait_end.get(), &byte, 1) < 0 && errno == EINTR) {
      }
      int code = 0;
      Loop loop(*state->shared, i);
      try {
        work(loop);
      } catch (...) {
        code = 1;
      }
      loop.finish();
      ::_exit(code);
    }
    state->pids.push_back(pid);
    add_task(pid);
  }
  go_end.reset();  // all stand in the group: off they go
  return Workers(state);
}

WorkerResult Workers::State::result_of(unsigned index, int exit_code, const std::vector<bool>& allowed) const {
  const Slot& slot = shared->slots[index];
  WorkerResult r;
  r.cgroup = cgroup;
  r.index = index;
  r.pid = pids[index];
  r.iterations = slot.iterations;
  r.wall_ns = slot.last_ns - slot.start_ns;
  r.run_ns = slot.run_ns;
  r.wait_ns = slot.wait_ns;
  r.longest_gap_ns = slot.longest_gap_ns;
  r.gap_cpu = slot.gap_cpu;
  r.migrations = slot.migrations;
  r.exit_code = exit_code;
  for (unsigned cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (!(slot.cpus[cpu / 64] >> (cpu % 64) & 1)) continue;
    r.cpus.push_back(cpu);
    if (!allowed.empty() && !allowed[cpu]) r.outside_cpus.push_back(cpu);
  }
  return r;
}

std::vector<WorkerResult> Workers::State::stop() {
  if (results) return *results;
  results.emplace();
  if (!shared) return *results;
  shared->stop = 1;
  std::vector<bool> allowed;
  if (!ctx->recut.contains(cgroup)) {  // else nobody can say what was allowed when
    std::ifstream in(ctx->cgroup_root + "/" + cgroup + "/cpuset.cpus.effective");
    std::string list;
    if (std::getline(in, list)) allowed = cpu_set(list);
  }
  const uint64_t deadline = now_ns() + static_cast<uint64_t>(static_cast<double>(kGrace.count()) * ctx->time_scale);
  std::vector<std::optional<int>> ends(pids.size());
  for (size_t left = pids.size(); left > 0;) {
    for (size_t i = 0; i < pids.size(); ++i) {
      int status = 0;
      if (ends[i] || ::waitpid(pids[i], &status, WNOHANG) == 0) continue;
      ends[i] = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      --left;
    }
    if (left == 0) break;
    if (now_ns() > deadline)
      for (size_t i = 0; i < pids.size(); ++i)
        if (!ends[i]) ::kill(pids[i], SIGKILL);
    ::poll(nullptr, 0, 5);
  }
  for (unsigned i = 0; i < pids.size(); ++i) {
    results->push_back(result_of(i, ends[i].value_or(0), allowed));
    ctx->send_worker(results->back());
  }
  return *results;
}

std::vector<WorkerResult> Workers::stop() { return state_->stop(); }

std::vector<int> Workers::pids() const { return {state_->pids.begin(), state_->pids.end()}; }

void Workers::set_affinity(const std::string& cpus) {
  const std::vector<bool> wanted = cpu_set(cpus);
  cpu_set_t set;
  CPU_ZERO(&set);
  for (unsigned cpu = 0; cpu < wanted.size() && cpu < CPU_SETSIZE; ++cpu)
    if (wanted[cpu]) CPU_SET(cpu, &set);
  for (pid_t pid : state_->pids)
    if (::sched_setaffinity(pid, sizeof set, &set) != 0)
      state_->ctx->send_check({.name = "operation", .verdict = TestVerdict::kFail, .observed = {}, .threshold = {},
                               .detail = "set affinity \"" + cpus + "\" in " + state_->cgroup + ": " + std::strerror(errno)});
}

void Workers::set_nice(int nice) {
  for (pid_t pid : state_->pids)
    if (::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), nice) != 0)
      state_->ctx->send_check({.name = "operation", .verdict = TestVerdict::kFail, .observed = {}, .threshold = {},
                               .detail = "set nice " + std::to_string(nice) + " in " + state_->cgroup + ": " + std::strerror(errno)});
}

void TestContext::Impl::stop_all() {
  for (const auto& state : workers) state->stop();
}

void TestContext::Impl::send_worker(const WorkerResult& w) {
  nlohmann::ordered_json fact = {{"cgroup", w.cgroup}, {"index", w.index}, {"pid", w.pid}, {"iterations", w.iterations},
                                 {"cpus", w.cpus}, {"outside_cpus", w.outside_cpus}, {"wall_ns", w.wall_ns},
                                 {"run_ns", w.run_ns}, {"wait_ns", w.wait_ns}, {"longest_gap_ns", w.longest_gap_ns},
                                 {"gap_cpu", w.gap_cpu}, {"migrations", w.migrations}, {"exit_code", w.exit_code}};
  send(nlohmann::ordered_json{{"worker", fact}}.dump());
}

}  // namespace ktstr
