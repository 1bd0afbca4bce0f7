// Real worker processes, on the host: every work type makes progress, hands over, and ends when told.
#include "workload/worker.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <new>
#include <vector>

#include "base/clock.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr uint64_t kLimitNs = 60 * kSecond;
constexpr uint64_t kEnough = 20;  // iterations

class WorkerSlots : public testing::Test {
 protected:
  WorkerSlots() {
    bytes_ = sizeof(WorkloadControl) + alignof(WorkerSlot) + 8 * sizeof(WorkerSlot);
    memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    control_ = new (memory_) WorkloadControl;
    for (auto& word : control_->allowed) word.store(~uint64_t{0});
    slots_ = reinterpret_cast<WorkerSlot*>(static_cast<char*>(memory_) + sizeof(WorkloadControl));
    for (int i = 0; i < 8; ++i) new (&slots_[i]) WorkerSlot;
  }
  ~WorkerSlots() override { ::munmap(memory_, bytes_); }

  size_t bytes_;
  void* memory_;
  WorkloadControl* control_;
  WorkerSlot* slots_;
};
static_assert(sizeof(WorkloadControl) % alignof(WorkerSlot) == 0);

class WorkerTest : public WorkerSlots, public testing::WithParamInterface<std::tuple<WorkType, size_t>> {};

TEST_P(WorkerTest, WorksAndEnds) {
  const auto [work, count] = GetParam();
  CgroupSpecT group;
  group.work = work;
  group.burst_ns = group.pause_ns = kMs;
  group.size_kb = 64;
  group.stride = 64;
  group.fan_out = 3;
  group.contenders = 2;
  group.hold_iters = group.work_iters = group.spin_iters = 100;
  group.touches = 8;
  for (auto kind : EnumValuesWorkPhaseKind()) {
    group.phases.push_back(std::make_unique<WorkPhaseT>());
    group.phases.back()->kind = kind;
    group.phases.back()->length_ns = kMs;
  }
  std::vector<WorkerSetup> setups(count);
  for (size_t i = 0; i < count; ++i) {
    setups[i] = {.group = &group, .control = control_, .self = &slots_[i]};
    setups[i].next = &slots_[ring_place(i, count).next];
    setups[i].has_token = ring_place(i, count).has_token;
    const WorkGrouping grouping = work_info(work).grouping;
    if (grouping == WorkGrouping::kFanOut || grouping == WorkGrouping::kContenders) {
      const size_t size = group_size(group);
      setups[i].place = static_cast<uint32_t>(i % size);
      setups[i].head = &slots_[i - i % size];
      setups[i].next = &slots_[i - i % size + 1];
    }
  }
  std::vector<int> fds;
  for (size_t i = 0; i < count && uses_pipe(work); ++i) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    setups[ring_place(i, count).next].pipe_in = pipe[0];
    setups[i].pipe_out = pipe[1];
    fds.insert(fds.end(), {pipe[0], pipe[1]});
  }
  std::vector<pid_t> pids;
  for (const WorkerSetup& setup : setups) {
    pids.push_back(::fork());
    if (pids.back() != 0) continue;
    struct sigaction nudge{};
    nudge.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &nudge, nullptr);
    run_worker(setup);
    ::_exit(0);
  }
  for (int fd : fds) ::close(fd);
  control_->go_ns.store(now_ns());
  control_->go.store(1);
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&control_->go), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  const uint64_t deadline = now_ns() + kLimitNs;
  auto iterations = [&](size_t i) {
    return *static_cast<volatile uint64_t*>(&slots_[i].telemetry.iterations);
  };
  for (size_t i = 0; i < count; ++i) {
    while (iterations(i) < kEnough && now_ns() < deadline) ::usleep(1000);
    EXPECT_GE(iterations(i), kEnough) << "worker " << i;
  }
  control_->stop.store(1);
  for (pid_t pid : pids) {
    int status = 0;
    pid_t ended = 0;
    while ((ended = ::waitpid(pid, &status, WNOHANG)) == 0 && now_ns() < deadline) {
      ::kill(pid, SIGUSR1);
      ::usleep(1000);
    }
    if (ended == 0) ::kill(pid, SIGKILL);
    EXPECT_EQ(ended, pid) << "did not end when told";
    EXPECT_TRUE(WIFEXITED(status));
  }
  for (size_t i = 0; i < count; ++i) {
    const Telemetry& t = slots_[i].telemetry;
    EXPECT_EQ(slots_[i].finished.load(), 1u);
    EXPECT_GT(t.last_ns, t.start_ns);
    EXPECT_GT(t.longest_gap_ns, 0u);
    EXPECT_LE(t.longest_gap_ns, t.last_ns - t.start_ns);
    EXPECT_GE(t.gap_cpu, 0);
    const bool sleeps = work == WorkType::Mixed || work == WorkType::Bursty || uses_pipe(work) ||
                        work == WorkType::IoSync || work == WorkType::Sequence;
    if (sleeps) {
      EXPECT_GT(t.wake.count(), 0u);
    }
    uint64_t cpus = 0;
    for (uint64_t word : t.cpus) cpus |= word;
    EXPECT_NE(cpus, 0u);
    for (uint64_t word : t.outside) EXPECT_EQ(word, 0u) << "every CPU is allowed";
  }
}

// A worker reports each CPU that its group did not allow, and no CPU that it did.
TEST_F(WorkerSlots, AWorkerTellsOfCpusThatItsGroupDoesNotAllow) {
  CgroupSpecT group;
  for (auto& word : control_->allowed) word.store(0);
  WorkerSetup setup{.group = &group, .control = control_, .self = &slots_[0]};
  pid_t pid = ::fork();
  if (pid == 0) {
    run_worker(setup);
    ::_exit(0);
  }
  control_->go.store(1);
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&control_->go), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  auto told = [&] {
    uint64_t any = 0;
    for (volatile uint64_t& word : slots_[0].telemetry.outside) any |= word;
    return any != 0;
  };
  for (const uint64_t deadline = now_ns() + kLimitNs; !told() && now_ns() < deadline;) ::usleep(1000);
  EXPECT_TRUE(told());
  control_->stop.store(1);
  ::waitpid(pid, nullptr, 0);
}

// What the kernel refuses is counted by operation and errno, and is no iteration.
TEST_F(WorkerSlots, ARefusedOperationIsNoIteration) {
  CgroupSpecT group;
  group.work = WorkType::IoSync;
  group.size_kb = 4;
  WorkerSetup setup{.group = &group, .control = control_, .self = &slots_[0]};
  pid_t pid = ::fork();
  if (pid == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit nothing{0, 0};
    ::setrlimit(RLIMIT_FSIZE, &nothing);
    run_worker(setup);
    ::_exit(0);
  }
  control_->go.store(1);
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&control_->go), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  const volatile OperationFailures& first = slots_[0].telemetry.failures[0];
  for (const uint64_t deadline = now_ns() + kLimitNs; first.count < 3 && now_ns() < deadline;) ::usleep(1000);
  control_->stop.store(1);
  ::waitpid(pid, nullptr, 0);
  EXPECT_GE(first.count, 3u);
  EXPECT_EQ(first.error, EFBIG);
  EXPECT_STREQ(operation_name(first.operation), "write");
  EXPECT_EQ(slots_[0].telemetry.iterations, 0u);
}

std::string test_name(const testing::TestParamInfo<std::tuple<WorkType, size_t>>& info) {
  return std::string(EnumNameWorkType(std::get<0>(info.param))) + "Times" +
         std::to_string(std::get<1>(info.param));
}

// Each type of the table, alone and with its like: a type without a loop fails here.
std::vector<std::tuple<WorkType, size_t>> all_work() {
  std::vector<std::tuple<WorkType, size_t>> all;
  auto add = [&](WorkType work, std::initializer_list<size_t> counts) {
    for (size_t count : counts) all.emplace_back(work, count);
  };
  for (const WorkInfo& info : work_types()) {
    if (info.type == WorkType::Custom) continue;  // a program
    switch (info.grouping) {
      case WorkGrouping::kAlone:
        add(info.type, {1, 2});
        break;
      case WorkGrouping::kPairs:
        add(info.type, {1, 2, 3});
        break;
      case WorkGrouping::kFanOut:
      case WorkGrouping::kContenders:
        add(info.type, {4, 8});
        break;
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(AllWork, WorkerTest, testing::ValuesIn(all_work()), test_name);

}  // namespace
}  // namespace ktstr
