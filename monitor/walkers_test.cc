#include "monitor/walkers.h"

#include <gtest/gtest.h>

#include "monitor/sampler.h"
#include "monitor/testing/synthetic_btf.h"
#include "monitor/testing/synthetic_kernel.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

using testing::SyntheticKernel;
using testing::SyntheticOptions;

constexpr uint64_t kWild = 0xdead000000000000ull;

class Walkers : public ::testing::Test {
 protected:
  explicit Walkers(const SyntheticOptions& options = {})
      : guest_(options), kernel_(attach()), sampler_(kernel_, clock_, 1) {}
  GuestKernel attach() {
    auto kernel = GuestKernel::attach(guest_.ram(), guest_.ram_layout(), cache_);
    if (!kernel) ADD_FAILURE() << kernel.error().message();
    return std::move(*kernel);
  }
  MonitorSampleT sample() {
    const Status status = sampler_.read();
    if (!status) ADD_FAILURE() << status.error().message();
    return sampler_.sample();
  }
  uint64_t failed(const std::string& part) {
    const auto it = sampler_.parts_failed().find(part);
    return it == sampler_.parts_failed().end() ? 0 : it->second;
  }
  SystemClock clock_;
  LayoutCache cache_;
  SyntheticKernel guest_;
  GuestKernel kernel_;
  Sampler sampler_;
};

TEST_F(Walkers, RunQueues) {
  const MonitorSampleT s = sample();
  ASSERT_EQ(s.cpus.size(), 4u);
  const CpuSampleT& cpu = *s.cpus[3];
  EXPECT_EQ(cpu.cpu, 3);
  EXPECT_EQ(cpu.nr_running, 13u);
  EXPECT_EQ(cpu.scx_nr_running, 8u);
  EXPECT_EQ(cpu.local_dsq_depth, 5u);
  EXPECT_EQ(cpu.rq_clock, 1'000'003u);
  EXPECT_EQ(cpu.scx_flags, 0x20u);
  EXPECT_TRUE(cpu.idle);
  EXPECT_FALSE(s.cpus[2]->idle);
  ASSERT_TRUE(cpu.stats);
  EXPECT_EQ(cpu.stats->switches, 103u);
  EXPECT_EQ(cpu.stats->wait_ns, 7003u);
  EXPECT_EQ(s.guest_clock_ns, 1'000'003u);
  // A field of the schema without a row would stay 0 for ever.
  EXPECT_EQ(kRunQueueCounters.size(), RunQueueStats::MiniReflectTypeTable()->num_elems);
}

TEST_F(Walkers, WhoRunsAndWhoWaits) {
  const MonitorSampleT s = sample();
  ASSERT_TRUE(s.cpus[2]->curr);
  EXPECT_EQ(s.cpus[2]->curr->pid, 102);
  EXPECT_EQ(s.cpus[2]->curr->comm, "running");
  EXPECT_EQ(s.cpus[2]->curr->sched_class, SchedClass::Ext);
  EXPECT_EQ(s.cpus[2]->rt_nr_running, 2u);
  ASSERT_TRUE(s.cpus[2]->longest_waiting);  // not the running one, though it is older
  EXPECT_EQ(s.cpus[2]->longest_waiting->pid, 202);
  EXPECT_EQ(s.cpus[2]->longest_waiting->wait_ns, 50 * 4'000'000u);
  EXPECT_FALSE(s.cpus[3]->curr);  // idle
}

TEST_F(Walkers, WaitingInADispatchQueue) {
  guest_.poke<uint64_t>(guest_.at("waiting0") + testing::kTaskDsq, guest_.at("dsq1"));
  EXPECT_EQ(sample().cpus[0]->longest_waiting->dsq_id, 0x101u);
  guest_.poke<uint64_t>(guest_.at("waiting0") + testing::kTaskDsq, kWild);
  EXPECT_EQ(sample().cpus[0]->longest_waiting->dsq_id, 0u);
}

TEST_F(Walkers, ATaskThatBecameRunnableJustNow) {
  guest_.poke<uint64_t>(guest_.at("waiting0") + testing::kTaskRunnableAt,
                        0x1'0000'0101);  // after jiffies were read
  EXPECT_EQ(sample().cpus[0]->longest_waiting->wait_ns, 0u);
}

TEST_F(Walkers, ALoopInARunnableList) {
  guest_.poke<uint64_t>(guest_.at("task0") + testing::kTaskRunnable,
                        guest_.at("task0") + testing::kTaskRunnable);
  EXPECT_FALSE(sample().cpus[0]->longest_waiting);
  guest_.poke<uint64_t>(guest_.at("task0") + testing::kTaskRunnable, kWild);
  EXPECT_FALSE(sample().cpus[0]->longest_waiting);
}

TEST_F(Walkers, OfflineCpusAreLeftOut) {
  guest_.poke<uint64_t>(guest_.at("__cpu_online_mask"), 0b101);
  EXPECT_EQ(sample().cpus.size(), 2u);
}

class BothLayouts : public Walkers, public ::testing::WithParamInterface<bool> {
 protected:
  BothLayouts() : Walkers({.pcpu_layout = GetParam()}) {}
};
INSTANTIATE_TEST_SUITE_P(PerCpuStructAndBareEvents, BothLayouts, ::testing::Values(true, false));

TEST_P(BothLayouts, EventCounters) {
  const MonitorSampleT s = sample();
  ASSERT_EQ(s.counters.size(), 3u);
  EXPECT_EQ(s.counters[0]->name, "FIRST");
  EXPECT_EQ(s.counters[0]->value, 4 * 1000 + 0 + 1 + 2 + 3);
  EXPECT_EQ(s.counters[1]->name, "NARROW");
  EXPECT_EQ(s.counters[1]->value, -6);  // 4 bytes, signed
  EXPECT_EQ(s.counters[2]->value, 4);
  EXPECT_EQ(s.state, "enabled");
  EXPECT_TRUE(s.scx_enabled);
  EXPECT_EQ(s.ops_name, "made_up");
  EXPECT_EQ(s.enable_seq, 3u);
}

TEST_P(BothLayouts, DispatchQueues) {
  const MonitorSampleT s = sample();
  ASSERT_EQ(s.dsqs.size(), 3u);
  EXPECT_EQ(s.dsqs[0]->id, 0x100u);
  EXPECT_EQ(s.dsqs[0]->depth, 20u);
  EXPECT_EQ(s.dsqs[1]->id, 0x101u);
  EXPECT_EQ(s.dsqs[2]->id, (1ull << 63) | 1);
  EXPECT_EQ(s.dsqs[2]->depth, 9u);
  EXPECT_EQ(s.dsqs[2]->kind, DsqKind::Global);
}

TEST_F(Walkers, NoScheduler) {
  guest_.poke<uint64_t>(guest_.at("scx_root"), 0);
  guest_.poke<uint32_t>(guest_.at("scx_enable_state_var"), 3);
  const MonitorSampleT s = sample();
  EXPECT_FALSE(s.scx_enabled);
  EXPECT_EQ(s.state, "disabled");
  EXPECT_TRUE(s.counters.empty());
  EXPECT_TRUE(s.dsqs.empty());
  EXPECT_EQ(s.cpus.size(), 4u);
  EXPECT_TRUE(sampler_.parts_failed().empty());
}

TEST_F(Walkers, ExitKind) {
  guest_.poke<uint32_t>(guest_.at("scx") + testing::kScxExitKind, 0x401);
  EXPECT_EQ(sample().exit_kind, 0x401u);
}

TEST_F(Walkers, BypassQueuesOnlyWhenTheyHoldTasks) {
  guest_.poke<uint32_t>(
      guest_.at("events2") - testing::kPcpuEvents + testing::kPcpuBypass + testing::kDsqDepth, 6);
  const MonitorSampleT s = sample();
  ASSERT_EQ(s.dsqs.size(), 4u);
  EXPECT_EQ(s.dsqs[3]->kind, DsqKind::Bypass);
  EXPECT_EQ(s.dsqs[3]->place, 2u);
  EXPECT_EQ(s.dsqs[3]->depth, 6u);
}

TEST_F(Walkers, Domains) {
  const MonitorSampleT s = sample();
  ASSERT_EQ(s.domains.size(), 8u);
  const DomainSampleT& d = *s.domains[3];  // CPU 1, second level
  EXPECT_EQ(d.cpu, 1);
  EXPECT_EQ(d.level, 1u);
  EXPECT_EQ(d.name, "MC");
  EXPECT_EQ(d.span, "0-3");
  std::map<std::string, int64_t> counters;
  for (const auto& c : d.counters) counters[c->name] = c->value;
  EXPECT_EQ(counters, (std::map<std::string, int64_t>{{"balance_interval", 8},
                                                      {"lb_count.not_idle", 1},
                                                      {"lb_count.idle", 101},
                                                      {"lb_count.newly_idle", 201}}));
}

TEST_F(Walkers, Programs) {
  const MonitorSampleT s = sample();
  ASSERT_EQ(s.programs.size(), 8u);  // a kprobe and another subsystem's struct_ops are not ours
  const ProgramSampleT& p = *s.programs[2];
  EXPECT_EQ(p.id, 3u);
  EXPECT_EQ(p.name, "a_long_name_that_goes_on_2");
  EXPECT_EQ(p.tag, "0123456789abcdef");
  EXPECT_EQ(p.verified_insns, 1236u);
  EXPECT_EQ(p.jited_bytes, 302u);
  EXPECT_EQ(p.insns, 52u);
  EXPECT_EQ(p.run_count, 4 * 12u);
  EXPECT_EQ(p.run_ns, 4000u);
  EXPECT_EQ(p.maps, std::vector<uint32_t>{77});
  ASSERT_EQ(s.maps.size(), 6u);
  EXPECT_EQ(s.maps[0]->name, "a_map");
  EXPECT_EQ(s.maps[0]->max_entries, 4096u);
}

TEST_F(Walkers, AProgramReplacedAtTheSamePlaceIsReadAnew) {
  sample();
  guest_.poke<uint32_t>(guest_.at("aux0") + testing::kAuxId, 900);
  guest_.poke<uint32_t>(guest_.at("aux0") + testing::kAuxVerified, 4);
  const MonitorSampleT s = sample();
  EXPECT_EQ(s.programs[0]->id, 900u);
  EXPECT_EQ(s.programs[0]->verified_insns, 4u);
}

TEST_F(Walkers, AProgramWithoutJitHasItsShortName) {
  guest_.poke<uint8_t>(guest_.at("aux1") + testing::kAuxKsymName, 0);
  EXPECT_EQ(sample().programs[1]->name, "a_long_name_tha");
}

// ---- lies

TEST_F(Walkers, ALoopOfDomains) {
  guest_.poke<uint64_t>(guest_.at("domain1") + testing::kDomainParent, guest_.at("domain0"));
  const MonitorSampleT s = sample();
  EXPECT_TRUE(s.domains.empty());
  EXPECT_EQ(failed("domains"), 1u);
  EXPECT_EQ(s.programs.size(), 8u);  // the others are not touched by it
}

TEST_F(Walkers, WildDomain) {
  guest_.poke<uint64_t>(guest_.at("rq2") + testing::kRqDomain, kWild);
  sample();
  EXPECT_EQ(failed("domains"), 1u);
}

TEST_F(Walkers, WildDomainName) {
  guest_.poke<uint64_t>(guest_.at("domain0") + testing::kDomainName, kWild);
  const MonitorSampleT s = sample();
  ASSERT_EQ(s.domains.size(), 8u);
  EXPECT_EQ(s.domains[0]->name, "");
}

TEST_F(Walkers, ALoopInAHashChain) {
  guest_.poke<uint64_t>(guest_.at("dsq0") + testing::kDsqNode, guest_.at("dsq0") + testing::kDsqNode);
  const MonitorSampleT s = sample();
  EXPECT_TRUE(s.dsqs.empty());
  EXPECT_EQ(failed("dispatch queues"), 1u);
  EXPECT_EQ(s.counters.size(), 3u);
}

TEST_F(Walkers, AbsurdHashTable) {
  guest_.poke<uint32_t>(guest_.at("dsq_table") + testing::kTableSize, 0xffffffff);
  sample();
  EXPECT_EQ(failed("dispatch queues"), 1u);
}

TEST_F(Walkers, ALoopOfFutureTables) {
  guest_.poke<uint64_t>(guest_.at("dsq_table") + testing::kTableFuture, guest_.at("dsq_table"));
  sample();
  EXPECT_EQ(failed("dispatch queues"), 1u);
}

TEST_F(Walkers, NestedHashTable) {
  guest_.poke<uint32_t>(guest_.at("dsq_table") + testing::kTableNest, 9);
  sample();
  EXPECT_EQ(failed("dispatch queues"), 1u);
}

TEST_F(Walkers, WildRoot) {
  guest_.poke<uint64_t>(guest_.at("scx_root"), kWild);
  const MonitorSampleT s = sample();
  EXPECT_EQ(failed("scheduler"), 1u);
  EXPECT_TRUE(s.counters.empty());
  EXPECT_EQ(s.cpus.size(), 4u);
}

TEST_F(Walkers, WildPerCpuPointer) {
  guest_.poke<uint64_t>(guest_.at("scx") + testing::kScxPerCpu, kWild);
  EXPECT_TRUE(sample().counters.empty());
  EXPECT_EQ(failed("scheduler"), 1u);
}

TEST_F(Walkers, AnIdrNodeThatHoldsItself) {
  guest_.poke<uint64_t>(guest_.at("idr_node") + testing::kNodeSlots + 8, guest_.at("idr_node") + 2);
  EXPECT_TRUE(sample().programs.empty());
  EXPECT_EQ(failed("programs"), 1u);
}

TEST_F(Walkers, AnIdrWithAbsurdlyManyEntries) {
  for (uint64_t i = 0; i < 64;
       ++i) {  // 64 times the same leaf below the top: shifts descend, so only the budget ends it
    uint64_t leaf = 0;
    kernel_.memory().read(guest_.at("idr_node") + testing::kNodeSlots, &leaf, 8);
    guest_.poke<uint64_t>(guest_.at("idr_node") + testing::kNodeSlots + i * 8, leaf);
  }
  const MonitorSampleT s = sample();
  EXPECT_LE(s.programs.size(), kMaxPrograms);
}

TEST_F(Walkers, WildProgramAndAbsurdMapCount) {
  guest_.poke<uint32_t>(guest_.at("aux0") + testing::kAuxMapCount, 0xffffffff);
  EXPECT_LE(sample().programs[0]->maps.size(), kMaxMapsPerProgram);
  guest_.poke<uint64_t>(guest_.at("program1") + testing::kProgAux, kWild);
  EXPECT_TRUE(sample().programs.empty());
  EXPECT_EQ(failed("programs"), 1u);
}

TEST_F(Walkers, UnreadableRunQueueFailsTheSample) {
  guest_.poke<uint64_t>(guest_.at("__per_cpu_offset") + 8,
                        kWild);  // after the attach: offsets were read once
  EXPECT_TRUE(sampler_.read().ok());
  GuestKernel again = attach();
  Sampler sampler(again, clock_);
  const Status status = sampler.read();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message().find("CPU 1"), std::string::npos);
}

TEST_F(Walkers, LastSeenOutlivesTheScheduler) {
  sample();
  guest_.poke<uint64_t>(guest_.at("prog_idr") + testing::kIdrHead, 0);
  guest_.poke<uint64_t>(guest_.at("rq0") + testing::kRqDomain, kWild);
  EXPECT_TRUE(sample().programs.empty());
  EXPECT_EQ(sampler_.last_programs().size(), 8u);
  EXPECT_EQ(sampler_.last_domains().size(), 8u);
}

// The guest's BTF says where a field is, and may lie (tests/fuzz/guest_memory_fuzz.cc).
TEST(Field, OneThatIsNotInItsStructReadsAsZero) {
  const std::array<uint8_t, 8> bytes{1, 2, 3, 4, 5, 6, 7, 0xff};
  EXPECT_EQ((Field{4, 2}.in(bytes)), 0x0605u);
  EXPECT_EQ(static_cast<int64_t>(Field{7, 1, true}.in(bytes)), -1);
  for (const Field& field :
       {Field{7, 2}, Field{8, 1}, Field{0xfffffffc, 8}, Field{0, 16}, Field{0, 0xffffffff}, Field{}})
    EXPECT_EQ(field.in(bytes), 0u) << field.offset << " " << field.size;
}

}  // namespace
}  // namespace ktstr
