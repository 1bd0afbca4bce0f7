// Real worker processes, on the host: every work type makes progress, hands over, and ends when told.
#include "launcher/guest/worker.h"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <new>
#include <vector>

#include "launcher/guest/guest_clock.h"
#include "launcher/guest/ring_layout.h"

namespace ktstr::guest {
namespace {

constexpr uint64_t kLimitNs = 60 * kSecond;
constexpr uint64_t kEnough = 20;  // iterations

class WorkerTest : public testing::TestWithParam<std::tuple<WorkType, size_t>> {
 protected:
  WorkerTest() {
    bytes_ = sizeof(WorkloadControl) + alignof(WorkerSlot) + 4 * sizeof(WorkerSlot);
    memory_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    control_ = new (memory_) WorkloadControl;
    slots_ = reinterpret_cast<WorkerSlot*>(static_cast<char*>(memory_) + 64);
    for (int i = 0; i < 4; ++i) new (&slots_[i]) WorkerSlot;
  }
  ~WorkerTest() override { ::munmap(memory_, bytes_); }

  size_t bytes_;
  void* memory_;
  WorkloadControl* control_;
  WorkerSlot* slots_;
};
static_assert(sizeof(WorkloadControl) <= 64);

TEST_P(WorkerTest, WorksAndEnds) {
  const auto [work, count] = GetParam();
  std::vector<WorkerSetup> setups(count);
  for (size_t i = 0; i < count; ++i) {
    setups[i] = {.work = work, .burst_ns = kMs, .pause_ns = kMs, .control = control_, .self = &slots_[i]};
    setups[i].next = &slots_[ring_place(i, count).next];
    setups[i].has_token = ring_place(i, count).has_token;
  }
  std::vector<int> fds;
  for (size_t i = 0; i < count && work == WorkType::PipeIo; ++i) {
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
    struct sigaction nudge {};
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
    const bool sleeps = work == WorkType::Mixed || work == WorkType::Bursty || work == WorkType::PipeIo;
    if (sleeps) {
      EXPECT_GT(t.wake.count(), 0u);
    }
    uint64_t cpus = 0;
    for (uint64_t word : t.cpus) cpus |= word;
    EXPECT_NE(cpus, 0u);
  }
}

std::string test_name(const testing::TestParamInfo<std::tuple<WorkType, size_t>>& info) {
  return std::string(EnumNameWorkType(std::get<0>(info.param))) + "Times" +
         std::to_string(std::get<1>(info.param));
}

INSTANTIATE_TEST_SUITE_P(AllWork, WorkerTest,
                         testing::Values(std::tuple(WorkType::CpuSpin, 1),
                                         std::tuple(WorkType::YieldHeavy, 2), std::tuple(WorkType::Mixed, 1),
                                         std::tuple(WorkType::Bursty, 2), std::tuple(WorkType::PipeIo, 1),
                                         std::tuple(WorkType::PipeIo, 2), std::tuple(WorkType::PipeIo, 3),
                                         std::tuple(WorkType::FutexPingPong, 1),
                                         std::tuple(WorkType::FutexPingPong, 2),
                                         std::tuple(WorkType::FutexPingPong, 3),
                                         std::tuple(WorkType::ForkExit, 1)),
                         test_name);

}  // namespace
}  // namespace ktstr::guest
