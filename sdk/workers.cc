// Worker processes of a body: the same code that runs a spec's declared workers
// (workload/worker_batch.h), in the body's process.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/clock.h"
#include "base/small_files.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "sdk/body_context.h"
#include "sdk/work.h"
#include "workload/cgroups.h"
#include "workload/worker_batch.h"
#include "workload/worker_loop.h"
#include "workload/worker_report.h"

namespace ktstr {
namespace {

constexpr uint64_t kGraceNs = 5 * kSecond;
constexpr uint64_t kReapNs = 2 * kMs;

class LoopOfFunction : public WorkLoop {
 public:
  explicit LoopOfFunction(WorkerLoop& loop, unsigned index) : loop_(loop), index_(index) {}
  bool running() const override { return !loop_.stopping(); }
  unsigned index() const override { return index_; }
  void iteration() override {
    ++loop_.telemetry().iterations;
    loop_.look();
  }
  void sleep(std::chrono::nanoseconds time) override {
    loop_.look();
    if (time.count() > 0) loop_.sleep_for(static_cast<uint64_t>(time.count()));
  }

 private:
  WorkerLoop& loop_;
  unsigned index_;
};

std::string cpuset_of(const std::string& folder) { return read_text_or(folder + "/cpuset.cpus", ""); }

}  // namespace

struct Workers::State {
  explicit State(TestContext::Impl* context, const CgroupSpecT& what, uint32_t first_index)
      : ctx(context), group(what), batch(loop, group, first_index, 0) {}
  std::vector<WorkerResult> stop();
  void reap();

  TestContext::Impl* ctx;
  CgroupSpecT group;
  EventLoop loop;
  WorkerBatch batch;
  bool started = false;
  std::optional<std::vector<WorkerResult>> results;
};

void Workers::State::reap() {
  for (pid_t pid : batch.pids()) {
    int status = 0;
    rusage usage{};
    if (::wait4(pid, &status, WNOHANG, &usage) == pid) batch.on_end(pid, status, usage);
  }
}

std::vector<WorkerResult> Workers::State::stop() {
  if (results) return *results;
  results.emplace();
  if (!started) return *results;
  loop.every(kReapNs, [this] { reap(); });
  const auto grace = static_cast<uint64_t>(static_cast<double>(kGraceNs) * ctx->time_scale);
  batch.stop(now_ns() + grace, grace / 5);
  for (WorkerReportT& report : batch.reports()) {
    ctx->send(report_line(report));
    results->push_back(result_of(report));
  }
  return *results;
}

namespace {

std::shared_ptr<Workers::State> start(TestContext& ctx, const Cgroup& cgroup, CgroupSpecT group,
                                      WorkFunction function) {
  TestContext::Impl& impl = ctx.impl();
  uint32_t first = 0;
  for (const auto& other : impl.workers)
    if (other->group.name == cgroup.name()) first += other->group.workers;
  group.name = cgroup.name();
  auto state = std::make_shared<Workers::State>(&impl, group, first);
  auto failed = [&](const std::string& why) {
    ctx.error("cgroup " + cgroup.name() + ": spawn: " + why);
    return state;
  };
  if (group.workers == 0 || group.workers > kMaxWorkers)
    return failed(std::to_string(group.workers) + " workers: 1 to " + std::to_string(kMaxWorkers) +
                  " can be started");
  UniqueFd folder(::open(cgroup.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return failed(std::strerror(errno));
  if (function) {
    // One that throws ends its process by SIGABRT, and that is told; it must not unwind into the body's copy.
    state->batch.set_function([function = std::move(function)](WorkerLoop& loop) noexcept {
      LoopOfFunction of(loop, loop.setup().index);
      function(of);
    });
  }
  std::fflush(nullptr);
  if (auto forked = state->batch.fork(folder.get(), nullptr); !forked)
    return failed(forked.error().message());
  const std::string cpuset = cpuset_of(cgroup.path());
  state->batch.allow(cpus_of(cpuset), /*keep_old=*/false, cpuset);
  state->started = true;
  state->batch.go(now_ns());
  impl.workers.push_back(state);
  return state;
}

}  // namespace

Workers Cgroup::spawn(unsigned count, WorkFunction work) {
  CgroupSpecT group;
  group.workers = count;
  return Workers(start(*ctx_, *this, std::move(group), std::move(work)));
}

Workers Cgroup::spawn(unsigned count, const std::string& work, const WorkOptions& options) {
  auto group = work_group(work, count, options);
  if (group) return Workers(start(*ctx_, *this, std::move(group).value(), nullptr));
  ctx_->error("cgroup " + name_ + ": spawn: " + group.error().to_string());
  return Workers(std::make_shared<Workers::State>(&ctx_->impl(), CgroupSpecT(), 0));
}

std::vector<WorkerResult> Workers::stop() { return state_->stop(); }

std::vector<int> Workers::pids() const {
  const auto pids = state_->batch.pids();
  return {pids.begin(), pids.end()};
}

void Workers::set_affinity(const std::string& cpus) {
  if (auto bound = state_->batch.set_affinity(cpus); !bound)
    state_->ctx->operation_failed(bound.error().message());
}

void Workers::set_nice(int nice) {
  for (pid_t pid : state_->batch.pids())
    if (::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), nice) != 0)
      return state_->ctx->operation_failed("nice " + std::to_string(nice) + " of a worker of " +
                                           state_->group.name + ": " + std::strerror(errno));
}

void TestContext::Impl::allow(const std::string& cgroup, const std::string& cpus, bool keep_old) {
  for (const auto& state : workers)
    if (state->batch.place() == cgroup) state->batch.allow(cpus_of(cpus), keep_old, cpus);
}

void TestContext::Impl::moved(const std::string& from, const std::string& to) {
  const std::string cpus = cpuset_of(cgroup_root + "/" + to);
  for (const auto& state : workers) {
    if (state->batch.place() != from) continue;
    state->batch.move_to(to);
    state->batch.allow(cpus_of(cpus), /*keep_old=*/false, cpus);
  }
}

void TestContext::Impl::stop_all() {
  for (const auto& state : workers) state->stop();
}

}  // namespace ktstr
