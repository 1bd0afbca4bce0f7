// Work that needs neither a peer nor memory: CpuSpin, YieldHeavy, Mixed, Bursty, ForkExit, Sequence.
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <optional>

#include "base/clock.h"
#include "schemas/spec_generated.h"
#include "workload/worker_loop.h"

namespace ktstr {
namespace {

class Repeated : public Work {
 public:
  explicit Repeated(std::function<void()> once) : once_(std::move(once)) {}
  void iterate() override { once_(); }

 private:
  std::function<void()> once_;
};

void fork_exit(WorkerLoop& loop) {
  // Raw, so that the child inherits no exit handlers: it only exits.
  pid_t child = static_cast<pid_t>(::syscall(SYS_fork));
  if (child == 0) ::_exit(0);
  if (child < 0) {
    loop.could_not(Operation::kFork, errno);
  } else {
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR && !loop.stopping()) {
    }
    ++loop.telemetry().wakeups;
  }
  loop.look();
}

// One phase an iteration, round and round.
class SequenceWork : public Work {
 public:
  explicit SequenceWork(WorkerLoop& loop) : loop_(loop) {}
  void iterate() override {
    const auto& phases = loop_.group().phases;
    if (phases.empty()) return loop_.compute();
    const WorkPhaseT& phase = *phases[at_++ % phases.size()];
    switch (phase.kind) {
      case WorkPhaseKind::Spin:
        return loop_.compute_for(phase.length_ns);
      case WorkPhaseKind::Sleep:
        return loop_.sleep_for(phase.length_ns);
      case WorkPhaseKind::Yield:
        return repeat(phase.length_ns, [this] { loop_.yield(); });
      case WorkPhaseKind::Io:
        if (!file_) file_.emplace(4);
        return repeat(phase.length_ns, [this] {
          if (auto failure = file_->write_once()) loop_.could_not(failure->operation, failure->error);
          loop_.look();
        });
    }
  }

 private:
  template <typename Once>
  void repeat(uint64_t ns, Once once) {
    const uint64_t until = loop_.last_ns() + ns;
    do once();
    while (loop_.last_ns() < until && !loop_.stopping());
  }

  WorkerLoop& loop_;
  size_t at_ = 0;
  std::optional<SyncedFile> file_;
};

}  // namespace

std::unique_ptr<Work> make_plain_work(WorkerLoop& loop) {
  const CgroupSpecT& g = loop.group();
  switch (g.work) {
    case WorkType::CpuSpin:
      return std::make_unique<Repeated>([&loop] { loop.compute(); });
    case WorkType::YieldHeavy:
      return std::make_unique<Repeated>([&loop] {
        loop.compute();
        loop.yield();
      });
    case WorkType::Mixed:
      return std::make_unique<Repeated>([&loop, &g] {
        loop.compute_for(g.burst_ns);
        loop.yield();
        loop.compute();
        loop.sleep_for(g.pause_ns);
      });
    case WorkType::Bursty:
      return std::make_unique<Repeated>([&loop, &g] {
        loop.compute_for(g.burst_ns);
        loop.sleep_for(g.pause_ns);
      });
    case WorkType::ForkExit:
      return std::make_unique<Repeated>([&loop] { fork_exit(loop); });
    case WorkType::Sequence:
      return std::make_unique<SequenceWork>(loop);
    default:
      return nullptr;
  }
}

}  // namespace ktstr
