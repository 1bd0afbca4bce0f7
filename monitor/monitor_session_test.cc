#include "monitor/monitor_session.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "monitor/testing/synthetic_btf.h"
#include "monitor/testing/synthetic_kernel.h"
#include "monitor/vcpu_threads.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

using testing::SyntheticKernel;

class FakeClock : public Clock {
 public:
  uint64_t monotonic_ns() const override { return now += step; }
  uint64_t realtime_ns() const override { return now; }
  mutable uint64_t now = 1'000'000'000;
  uint64_t step = 0;  // passes with each look
};

class BorrowedRam : public RamFile {
 public:
  explicit BorrowedRam(const RamFile& inner) : inner_(inner) {}
  uint64_t size() const override { return inner_.size(); }
  bool read(uint64_t offset, void* out, size_t size) const override { return inner_.read(offset, out, size); }
  std::vector<ByteRange> data_ranges() const override { return inner_.data_ranges(); }

 private:
  const RamFile& inner_;
};

class FakeHold : public VmHold {
 public:
  FakeHold(std::string& calls, bool works) : calls_(calls), works_(works) {}
  Status hold() override {
    calls_ += "hold ";
    return works_ ? Status() : Status(Error::timeout("QMP: QEMU did not answer in time"));
  }
  Status release() override {
    calls_ += "release ";
    return {};
  }
  uint64_t limit_ns() const override { return limit; }
  uint64_t limit = 0;

 private:
  std::string& calls_;
  bool works_;
};

class Session : public ::testing::Test {
 protected:
  explicit Session(MonitorSession::Options options = {}) {
    seam_.clock = &clock_;
    seam_.open_ram = [this](const std::string& path) -> Result<std::unique_ptr<RamFile>> {
      ++opened_;
      if (!ram_) return Error::not_found("open guest RAM " + path + ": No such file or directory");
      return std::unique_ptr<RamFile>(new BorrowedRam(*ram_));
    };
    VmStartedT vm;
    vm.pid = 42;
    vm.qmp_path = "/q.sock";
    vm.ram_path = "/proc/1/fd/7";
    vm.ram_bytes = vm.lowmem_bytes = guest_.ram().size();
    buffer_.Finish(VmStarted::Pack(buffer_, &vm));
    session_ = std::make_unique<MonitorSession>(*flatbuffers::GetRoot<VmStarted>(buffer_.GetBufferPointer()),
                                                seam_, cache_, std::move(options));
  }
  MonitorSession::Facts tick() {
    clock_.now += 100'000'000;
    return session_->tick();
  }
  // An attached session with a scheduler seen alive.
  void live(bool hold_works = true) {
    seam_.open_hold = [this, hold_works](const std::string&) -> Result<std::unique_ptr<VmHold>> {
      auto hold = std::make_unique<FakeHold>(calls_, hold_works);
      hold->limit = hold_limit_;
      return std::unique_ptr<VmHold>(std::move(hold));
    };
    ram_ = &guest_.ram();
    ASSERT_TRUE(tick().attached);
    EXPECT_FALSE(session_->watch().frozen);
  }
  void exit_kind(int32_t kind) { guest_.poke<int32_t>(guest_.at("scx") + testing::kScxExitKind, kind); }
  std::string calls_;
  uint64_t hold_limit_ = 0;
  FakeClock clock_;
  SyntheticKernel guest_;
  const RamFile* ram_ = nullptr;
  int opened_ = 0;
  MonitorSeam seam_;
  LayoutCache cache_;
  flatbuffers::FlatBufferBuilder buffer_;
  std::unique_ptr<MonitorSession> session_;
};

TEST_F(Session, NeverAttached) {
  EXPECT_FALSE(tick().attached);
  const auto facts = session_->stop("the VM has ended");
  ASSERT_TRUE(facts.unavailable && facts.stopped);
  EXPECT_NE(facts.unavailable->reason.find("/proc/1/fd/7"), std::string::npos) << facts.unavailable->reason;
  EXPECT_EQ(facts.stopped->samples, 0u);
}

TEST_F(Session, StoppedBeforeTheFirstTick) {
  const auto facts = session_->stop("the VM has ended");
  EXPECT_TRUE(facts.unavailable && facts.stopped);
}

TEST_F(Session, AttachesWhenTheKernelIsUp) {
  ram_ = &guest_.ram();
  guest_.poke<uint32_t>(guest_.at("system_state"), 0);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(tick().attached);
  EXPECT_EQ(opened_, 1);
  guest_.poke<uint32_t>(guest_.at("system_state"), 3);
  MonitorSession::Facts facts;
  for (int i = 0; i < 3 && !facts.attached; ++i) facts = tick();
  ASSERT_TRUE(facts.attached && facts.sample);  // the first sample comes with the attach
  EXPECT_EQ(facts.attached->release, "9.9.9-synthetic");
  EXPECT_EQ(facts.attached->cpus, 4u);
  EXPECT_EQ(facts.attached->period_ns, 100'000'000u);
  EXPECT_EQ(facts.sample->index, 0u);
  facts = tick();
  ASSERT_TRUE(facts.sample && !facts.attached);
  EXPECT_EQ(facts.sample->index, 1u);
  const auto end = session_->stop("the VM has ended");
  EXPECT_FALSE(end.unavailable);
  ASSERT_TRUE(end.stopped);
  EXPECT_EQ(end.stopped->samples, 2u);
  EXPECT_EQ(end.stopped->programs.size(), 8u);
  EXPECT_EQ(end.stopped->reason, "the VM has ended");
}

TEST_F(Session, AKernelThatCannotBeReadIsNamedAsTheReason) {
  ram_ = &guest_.ram();
  guest_.poke<uint32_t>(guest_.at("kallsyms_num_syms"), 0);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(tick().attached);
  const auto end = session_->stop("the VM has ended");
  ASSERT_TRUE(end.unavailable);
  EXPECT_NE(end.unavailable->reason.find("kallsyms_num_syms"), std::string::npos) << end.unavailable->reason;
}

TEST_F(Session, FailedSamplesAreSkippedAndCounted) {
  ram_ = &guest_.ram();
  ASSERT_TRUE(tick().sample);
  guest_.poke<uint64_t>(guest_.at("__cpu_online_mask"), 0);
  EXPECT_FALSE(tick().sample);
  EXPECT_FALSE(tick().sample);
  guest_.poke<uint64_t>(guest_.at("__cpu_online_mask"), 1);
  EXPECT_TRUE(tick().sample);
  const auto end = session_->stop("x");
  EXPECT_EQ(end.stopped->samples, 2u);
  EXPECT_EQ(end.stopped->failed, 2u);
}

TEST_F(Session, ADeathIsFrozenOnceWithTheVmHeld) {
  live();
  exit_kind(1024);
  const auto facts = session_->watch();
  ASSERT_TRUE(facts.frozen);
  EXPECT_EQ(facts.frozen->reason, "sched_ext exit 1024 (error)");
  EXPECT_GT(facts.frozen->held_ns, 0u);
  EXPECT_EQ(facts.frozen->cpus.size(), 4u);
  EXPECT_EQ(facts.frozen->maps.size(), 6u);
  EXPECT_EQ(calls_, "hold release ");
  EXPECT_FALSE(session_->watch().frozen);
}

TEST_F(Session, AVmThatIsNotHeldIsLookedAtAllTheSame) {
  live(false);
  exit_kind(1024);
  const auto facts = session_->watch();
  ASSERT_TRUE(facts.frozen);
  EXPECT_EQ(facts.frozen->held_ns, 0u);
  EXPECT_EQ(facts.frozen->note, "the VM was not paused: QMP: QEMU did not answer in time");
  EXPECT_EQ(facts.frozen->maps.size(), 6u);
  EXPECT_EQ(calls_, "hold release ");  // let go whatever became of the hold
}

TEST_F(Session, AHoldThatTheGuardEndedIsNotClaimedInFull) {
  hold_limit_ = 5'000'000'000;
  live();
  exit_kind(1024);
  clock_.step = 3'000'000'000;  // 3 s to hold it, 3 s to read
  const auto facts = session_->watch();
  ASSERT_TRUE(facts.frozen);
  EXPECT_EQ(facts.frozen->held_ns, 2'000'000'000u);
  EXPECT_NE(facts.frozen->note.find("from a running guest"), std::string::npos) << facts.frozen->note;
}

TEST_F(Session, ASchedulerThatIsTakenOutAtTheEndIsNotFrozen) {
  live();
  session_->workload_finished();
  exit_kind(64);
  EXPECT_FALSE(session_->watch().frozen);
  EXPECT_EQ(calls_, "");
}

MonitorSession::Options one_write() {
  MonitorSession::Options options;
  options.writes.emplace_back();
  options.writes[0].map = ".bss";
  options.writes[0].field = "cfg.limit";
  options.writes[0].value = "5";
  options.writes[0].at_ns = 250'000'000;
  options.watchdog_timeout_ns = 2'000'000'000;
  return options;
}

class SessionThatWrites : public Session {
 protected:
  SessionThatWrites() : Session(one_write()) {}
};

TEST_F(SessionThatWrites, WhenItsTimeHasCome) {
  struct Into : RamWriter {
    explicit Into(SyntheticKernel& g) : guest(g) {}
    Status write(uint64_t offset, std::span<const uint8_t> bytes) override {
      guest.write(guest.direct_map() + offset, bytes.data(), bytes.size());
      return {};
    }
    SyntheticKernel& guest;
  };
  seam_.open_writer = [this](const std::string&) -> Result<std::unique_ptr<RamWriter>> {
    return std::unique_ptr<RamWriter>(new Into(guest_));
  };
  live();
  session_->workload_started();
  clock_.now += 200'000'000;
  EXPECT_TRUE(session_->watch().written.empty());
  clock_.now += 60'000'000;
  const auto facts = session_->watch();
  ASSERT_EQ(facts.written.size(), 1u);
  EXPECT_EQ(facts.written[0].error + facts.written[0].before + " " + facts.written[0].after, "18 5");
  EXPECT_TRUE(session_->watch().written.empty());
  EXPECT_TRUE(session_->stop("x").written.empty());
}

TEST_F(SessionThatWrites, WhatWasNotDoneIsSaidAtTheEnd) {
  ram_ = &guest_.ram();
  ASSERT_TRUE(tick().attached);
  const auto end = session_->stop("x");
  ASSERT_EQ(end.written.size(), 1u);
  EXPECT_EQ(end.written[0].error, "guest RAM cannot be written");
  ASSERT_TRUE(end.watchdog);
  EXPECT_EQ(end.watchdog->error, "guest RAM cannot be written");
}

TEST_F(SessionThatWrites, NorWhenItNeverAttached) {
  const auto end = session_->stop("x");
  ASSERT_EQ(end.written.size(), 1u);
  EXPECT_EQ(end.written[0].error, "the monitor never attached");
}

TEST(VcpuThreads, ReadsTheNamedOnes) {
  const auto proc = std::filesystem::temp_directory_path() / ("ktstr-proc-" + std::to_string(::getpid()));
  const auto add = [&](const std::string& tid, const std::string& comm, const std::string& schedstat) {
    const auto dir = proc / "42" / "task" / tid;
    std::filesystem::create_directories(dir);
    std::ofstream(dir / "comm") << comm << "\n";
    std::ofstream(dir / "schedstat") << schedstat << "\n";
  };
  add("42", "qemu-system-x86", "1 2 3");
  add("44", "CPU 1/KVM", "500 60 7");
  add("43", "CPU 0/KVM", "400 50 6");
  add("45", "CPU 2/KVM", "");  // just gone
  const auto threads = read_vcpu_threads(42, proc.string());
  std::filesystem::remove_all(proc);
  ASSERT_EQ(threads.size(), 2u);
  EXPECT_EQ(threads[0].tid, 43u);
  EXPECT_EQ(threads[0].name, "CPU 0/KVM");
  EXPECT_EQ(threads[0].run_ns, 400u);
  EXPECT_EQ(threads[0].wait_ns, 50u);
  EXPECT_TRUE(read_vcpu_threads(4242, "/nowhere").empty());
}

}  // namespace
}  // namespace ktstr
