// Work that keeps changing how it is scheduled: NiceSweep, AffinityChurn, PolicyChurn.
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "schemas/common_generated.h"
#include "workload/cgroups.h"
#include "workload/worker_loop.h"

namespace ktstr {
namespace {

constexpr int kSchedExt = 7;

class NiceSweepWork : public Work {
 public:
  explicit NiceSweepWork(WorkerLoop& loop) : loop_(loop) {}
  void iterate() override {
    if (::setpriority(PRIO_PROCESS, 0, -20 + static_cast<int>(at_++ % 40)) != 0)
      loop_.could_not(Operation::kSetNice, errno);
    loop_.spin(loop_.group().spin_iters);
  }

 private:
  WorkerLoop& loop_;
  unsigned at_ = 0;
};

class AffinityChurnWork : public Work {
 public:
  explicit AffinityChurnWork(WorkerLoop& loop) : loop_(loop) {
    // Not what the kernel allows at the start: the cpuset may move to other CPUs.
    const std::vector<unsigned> bound = cpus_of(loop.group().affinity);
    const long there = ::sysconf(_SC_NPROCESSORS_CONF);
    CPU_ZERO(&wanted_);
    const unsigned end = there > 0 && there < CPU_SETSIZE ? static_cast<unsigned>(there) : CPU_SETSIZE;
    for (unsigned cpu = 0; cpu < end; ++cpu)
      if (bound.empty() || std::find(bound.begin(), bound.end(), cpu) != bound.end()) CPU_SET(cpu, &wanted_);
  }
  void iterate() override {
    loop_.spin(loop_.group().spin_iters);
    // The cpuset may change while it runs: what is allowed now, of what the group is bound to.
    const uint32_t changes = loop_.setup().control->allowed_changes.load();
    std::vector<int> cpus;
    for (unsigned cpu = 0; cpu < kMaxCpus && cpu < CPU_SETSIZE; ++cpu) {
      const bool allowed =
          loop_.setup().control->allowed[cpu / 64].load(std::memory_order_relaxed) >> (cpu % 64) & 1;
      if (allowed && CPU_ISSET(cpu, &wanted_)) cpus.push_back(static_cast<int>(cpu));
    }
    if (cpus.empty()) return;
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpus[(random_ >> 33) % cpus.size()], &one);
    // Refused while the cpuset changes: the next one will do.
    if (::sched_setaffinity(0, sizeof one, &one) != 0 && changes % 2 == 0 &&
        loop_.setup().control->allowed_changes.load() == changes)
      loop_.could_not(Operation::kSetAffinity, errno);
    loop_.look();
  }

 private:
  WorkerLoop& loop_;
  cpu_set_t wanted_;
  uint64_t random_ = static_cast<uint64_t>(::getpid());
};

class PolicyChurnWork : public Work {
 public:
  explicit PolicyChurnWork(WorkerLoop& loop) : loop_(loop) {}
  void iterate() override {
    static constexpr int kPolicies[] = {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE,
                                        SCHED_FIFO,  SCHED_RR,    kSchedExt};
    const int policy = kPolicies[at_++ % std::size(kPolicies)];
    sched_param priority{};
    priority.sched_priority = policy == SCHED_FIFO || policy == SCHED_RR ? 1 : 0;
    // SCHED_EXT may be refused: a scheduler has the right to keep a task out (p->scx.disallow).
    if (::sched_setscheduler(0, policy, &priority) != 0 && policy != kSchedExt)
      loop_.could_not(Operation::kSetPolicy, errno);
    loop_.spin(loop_.group().spin_iters);
  }

 private:
  WorkerLoop& loop_;
  unsigned at_ = 0;
};

}  // namespace

std::unique_ptr<Work> make_churn_work(WorkerLoop& loop) {
  switch (loop.group().work) {
    case WorkType::NiceSweep:
      return std::make_unique<NiceSweepWork>(loop);
    case WorkType::AffinityChurn:
      return std::make_unique<AffinityChurnWork>(loop);
    case WorkType::PolicyChurn:
      return std::make_unique<PolicyChurnWork>(loop);
    default:
      return nullptr;
  }
}

}  // namespace ktstr
