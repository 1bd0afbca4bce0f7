#include "bpf/direct_reads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>

#include "bpf/testing/probe_values.h"

namespace ktstr::probe {
namespace {

using testing::ElementsAre;

constexpr uint32_t kCast = 4711;

// What the kernel does with the instructions: a plain load of memory that is not there gives 0.
class Machine {
 public:
  uint64_t put(std::vector<uint8_t> bytes) {
    const uint64_t at = 0xffff888000000000 + 4096 * memory_.size();
    memory_[at] = std::move(bytes);
    return at;
  }
  uint64_t task = 0;  // what bpf_get_current_task gives

  void run(const std::vector<bpf_insn>& code, ktstr_hit* hit) {
    uint64_t r[11] = {};
    r[1] = reinterpret_cast<uint64_t>(hit);
    size_t steps = 0;
    for (size_t at = 0; at < code.size(); ++at) {
      ASSERT_LT(++steps, 10000u);
      const bpf_insn& i = code[at];
      const unsigned bytes = BPF_SIZE(i.code) == BPF_DW  ? 8
                             : BPF_SIZE(i.code) == BPF_W ? 4
                             : BPF_SIZE(i.code) == BPF_H ? 2
                                                         : 1;
      uint64_t& to = r[i.dst_reg];
      const uint64_t from = r[i.src_reg];
      switch (i.code) {
        case BPF_ALU64 | BPF_MOV | BPF_X:
          to = from;
          break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
          to = static_cast<uint64_t>(int64_t{i.imm});
          break;
        case BPF_ALU64 | BPF_ADD | BPF_K:
          to += static_cast<uint64_t>(int64_t{i.imm});
          break;
        case BPF_ALU64 | BPF_OR | BPF_X:
          to |= from;
          break;
        case BPF_ALU | BPF_OR | BPF_K:
          to = static_cast<uint32_t>(to) | static_cast<uint32_t>(i.imm);
          break;
        case BPF_JMP | BPF_JSGE | BPF_K:
          at += static_cast<int64_t>(to) >= i.imm ? static_cast<size_t>(i.off) : 0;
          break;
        case BPF_JMP | BPF_JNE | BPF_K:
          at += to != 0 ? static_cast<size_t>(i.off) : 0;
          break;
        case BPF_JMP | BPF_JGE | BPF_K:
          at += to >= static_cast<uint64_t>(i.imm) ? static_cast<size_t>(i.off) : 0;
          break;
        case BPF_JMP | BPF_JA:
          at += static_cast<size_t>(i.off);
          break;
        case BPF_JMP | BPF_EXIT:
          return;
        case BPF_JMP | BPF_CALL:
          if (i.src_reg == BPF_PSEUDO_KFUNC_CALL) {
            ASSERT_EQ(i.imm, static_cast<int>(kCast));
            ASSERT_EQ(r[2], 0u);
            r[0] = r[1];
          } else {
            ASSERT_EQ(i.imm, BPF_FUNC_get_current_task);
            r[0] = task;
          }
          r[1] = r[2] = r[3] = r[4] = r[5] = 0xdead;  // a call leaves nothing in them
          break;
        default:
          if (BPF_CLASS(i.code) == BPF_LDX)
            to = load(from + static_cast<uint64_t>(int64_t{i.off}), bytes, hit);
          else if (BPF_CLASS(i.code) == BPF_STX)
            store(to + static_cast<uint64_t>(int64_t{i.off}), bytes, from, hit);
          else
            FAIL() << "instruction " << int{i.code};
      }
    }
    FAIL() << "ran out of the function";
  }

 private:
  static bool in_hit(uint64_t at, unsigned bytes, const ktstr_hit* hit) {
    const auto begin = reinterpret_cast<uint64_t>(hit);
    return at >= begin && at + bytes <= begin + sizeof(*hit);
  }
  uint64_t load(uint64_t at, unsigned bytes, const ktstr_hit* hit) const {
    uint64_t value = 0;
    if (in_hit(at, bytes, hit)) {
      std::memcpy(&value, reinterpret_cast<const void*>(at), bytes);
      return value;
    }
    auto block = memory_.upper_bound(at);
    if (block == memory_.begin()) return 0;
    --block;
    const uint64_t offset = at - block->first;
    if (offset + bytes <= block->second.size()) std::memcpy(&value, block->second.data() + offset, bytes);
    return value;
  }
  void store(uint64_t at, unsigned bytes, uint64_t value, ktstr_hit* hit) {
    ASSERT_TRUE(in_hit(at, bytes, hit));
    std::memcpy(reinterpret_cast<void*>(at), &value, bytes);
  }
  std::map<uint64_t, std::vector<uint8_t>> memory_;
};

class Direct : public testing::Test {
 protected:
  ProbeTargetT& target() {
    plan_.targets.push_back(std::make_unique<ProbeTargetT>());
    plan_.targets.back()->id = static_cast<uint32_t>(plan_.targets.size() - 1);
    return *plan_.targets.back();
  }
  std::vector<bpf_insn> code(std::vector<uint32_t> targets) {
    reads_ = plan_all_reads(plan_);
    DirectReads in;
    in.cast_function = kCast;
    in.comm_offset = 16;
    in.pid_offset = 40;
    in.targets = targets;
    in.plans = reads_;
    return direct_reads(in);
  }
  std::vector<uint8_t> bytes_of(size_t target, size_t value) const {
    const ReadPlan::Place& p = reads_[target].places[value];
    return {hit_.data + p.at, hit_.data + p.at + p.bytes};
  }

  Machine machine_;
  ProbePlanT plan_;
  std::vector<ReadPlan> reads_;
  ktstr_hit hit_{};
};

std::vector<uint8_t> counting(size_t n) {
  std::vector<uint8_t> bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>(i);
  return bytes;
}

TEST_F(Direct, ReadsValuesOfEverySizeToTheirPlaces) {
  ProbeTargetT& t = target();
  add_value(&t, 0, {3}, 1);
  add_value(&t, 0, {6}, 2);
  add_value(&t, 0, {12}, 4);
  add_value(&t, 0, {33}, 11);
  const auto program = code({0});
  hit_.raw[0] = machine_.put(counting(64));
  hit_.left = ~0u;
  machine_.run(program, &hit_);
  EXPECT_THAT(bytes_of(0, 0), ElementsAre(3));
  EXPECT_THAT(bytes_of(0, 1), ElementsAre(6, 7));
  EXPECT_THAT(bytes_of(0, 2), ElementsAre(12, 13, 14, 15));
  EXPECT_THAT(bytes_of(0, 3), ElementsAre(33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43));
  EXPECT_EQ(hit_.left, 0u);
  EXPECT_EQ(hit_.failed, 0u);
}

TEST_F(Direct, FollowsPointersAndFailsAtANullOne) {
  ProbeTargetT& t = target();
  add_value(&t, 1, {8, 16}, 4);
  add_value(&t, 2, {8, 16}, 4);
  add_value(&t, 3, {8}, 4);
  const auto program = code({0});
  const uint64_t inner = machine_.put(counting(64));
  std::vector<uint8_t> outer(64), null(64);
  std::memcpy(outer.data() + 8, &inner, 8);
  hit_.raw[1] = machine_.put(outer);
  hit_.raw[2] = machine_.put(null);
  hit_.raw[3] = 0;
  machine_.run(program, &hit_);
  EXPECT_THAT(bytes_of(0, 0), ElementsAre(16, 17, 18, 19));
  EXPECT_EQ(hit_.failed, 0b110u);
  EXPECT_EQ(hit_.left, 0u);
}

// A plain load cannot tell zeros from memory that is not there, nor find the end of a text.
TEST_F(Direct, LeavesZerosAndTextToTheHelper) {
  ProbeTargetT& t = target();
  add_value(&t, 0, {8}, 8);
  add_value(&t, 1, {8}, 8);
  add_value(&t, 2, {}, 8, ValueFormat::CString);
  const auto program = code({0});
  hit_.raw[0] = machine_.put(std::vector<uint8_t>(64));
  hit_.raw[1] = 0xdead000000000100;
  hit_.raw[2] = machine_.put(counting(64));
  machine_.run(program, &hit_);
  EXPECT_EQ(hit_.left, 0b111u);
  EXPECT_EQ(hit_.failed, 0u);
}

TEST_F(Direct, OneValueThatIsNotZeroVouchesForItsNeighbours) {
  ProbeTargetT& t = target();
  add_value(&t, 0, {0}, 8);
  add_value(&t, 0, {2000}, 8);
  add_value(&t, 0, {}, 8, ValueFormat::CString);
  const auto program = code({0});
  ASSERT_EQ(reads_[0].reads.size(), 3u);
  std::vector<uint8_t> object(2048);
  object[2003] = 1;
  hit_.raw[0] = machine_.put(object);
  machine_.run(program, &hit_);
  EXPECT_EQ(hit_.left, 0b100u);
  EXPECT_THAT(bytes_of(0, 0), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0));
  hit_.raw[0] = 0x7ffcee84dfe4;
  machine_.run(program, &hit_);
  EXPECT_EQ(hit_.left, 0u);
  EXPECT_EQ(hit_.failed, 0b111u) << "user space is not read";
}

TEST_F(Direct, KnowsWhichTargetWasHitAndTheTaskByName) {
  for (uint32_t i = 0; i < 5; ++i) add_value(&target(), 0, {i + 1}, 1);
  std::vector<uint8_t> task(64);
  std::memcpy(task.data() + 16, "cg_0/11\0\0\0\0\0\0\0\0", KTSTR_COMM);
  task[40] = 132;
  machine_.task = machine_.put(task);
  hit_.raw[0] = machine_.put(counting(16));
  const auto program = code({0, 1, 3, 4});
  for (const uint32_t i : {0u, 1u, 3u, 4u}) {
    hit_.target = i;
    std::memset(hit_.comm, 0, sizeof(hit_.comm));
    machine_.run(program, &hit_);
    EXPECT_THAT(bytes_of(i, 0), ElementsAre(i + 1)) << i;
    EXPECT_STREQ(hit_.comm, "cg_0/11");
    EXPECT_EQ(hit_.pid, 132);
  }
}

TEST_F(Direct, MakesNothingForAKernelWithoutTheCast) {
  add_value(&target(), 0, {8}, 8);
  const std::vector<uint32_t> targets{0};
  const auto plans = plan_all_reads(plan_);
  DirectReads in;
  in.targets = targets;
  in.plans = plans;
  EXPECT_TRUE(direct_reads(in).empty());
  in.cast_function = kCast;
  EXPECT_FALSE(direct_reads(in).empty());
  in.targets = {};
  EXPECT_TRUE(direct_reads(in).empty());
}

bpf_insn insn(uint8_t code, uint8_t src, int32_t imm) {
  bpf_insn i{};
  i.code = code;
  i.src_reg = src & 0xf;
  i.imm = imm;
  return i;
}

// main: 0..5 (calls f, names g twice); f: 6..7; g: 8..9 (calls f).
TEST(Splice, AFunctionMayGrowBetweenOthers) {
  const uint8_t call = BPF_JMP | BPF_CALL, wide = BPF_LD | BPF_IMM | BPF_DW, exit = BPF_JMP | BPF_EXIT;
  std::vector<bpf_insn> p{insn(call, BPF_PSEUDO_CALL, 5),
                          insn(wide, BPF_PSEUDO_FUNC, 6),
                          insn(0, 0, 0),
                          insn(call, 0, BPF_FUNC_loop),
                          insn(call, 0, BPF_FUNC_get_attach_cookie),
                          insn(exit, 0, 0),
                          insn(call, 0, 99),
                          insn(exit, 0, 0),
                          insn(call, BPF_PSEUDO_CALL, -3),
                          insn(exit, 0, 0)};
  ASSERT_THAT(function_starts(p), ElementsAre(0, 6, 8));
  const std::vector<bpf_insn> body{insn(call, 0, 1), insn(call, 0, 2), insn(call, 0, 3), insn(exit, 0, 0)};
  ASSERT_TRUE(splice(&p, body));
  EXPECT_THAT(function_starts(p), ElementsAre(0, 6, 10));
  EXPECT_EQ(p.size(), 12u);
  EXPECT_EQ(p[6].imm, 1);
  EXPECT_EQ(p[9].code, exit);
  EXPECT_EQ(p[10].imm, -5);
  set_cookie(&p, 17);
  EXPECT_EQ(p[4].code, BPF_ALU64 | BPF_MOV | BPF_K);
  EXPECT_EQ(p[4].imm, 17);
  std::vector<bpf_insn> alone{insn(exit, 0, 0)};
  EXPECT_FALSE(splice(&alone, body));
}

}  // namespace
}  // namespace ktstr::probe
