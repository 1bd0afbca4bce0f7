#include "monitor/sampler.h"

#include <gtest/gtest.h>

#include <random>

#include "monitor/testing/synthetic_kernel.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

using testing::SyntheticKernel;

// RAM that changes while it is looked at: calls back before each read.
class ChangingRam : public RamFile {
 public:
  explicit ChangingRam(const RamFile& inner) : inner_(inner) {}
  uint64_t size() const override { return inner_.size(); }
  std::vector<ByteRange> data_ranges() const override { return inner_.data_ranges(); }
  bool read(uint64_t offset, void* out, size_t size) const override {
    if (before_read) before_read(offset);
    return inner_.read(offset, out, size);
  }
  std::function<void(uint64_t offset)> before_read;

 private:
  const RamFile& inner_;
};

struct Fixture {
  explicit Fixture(uint64_t full_every = 10) : ram(guest.ram()) {
    auto attached = GuestKernel::attach(ram, guest.ram_layout(), cache);
    kernel = std::make_unique<GuestKernel>(std::move(*attached));
    sampler = std::make_unique<Sampler>(*kernel, clock, full_every);
  }
  SystemClock clock;
  LayoutCache cache;
  SyntheticKernel guest;
  ChangingRam ram;
  std::unique_ptr<GuestKernel> kernel;
  std::unique_ptr<Sampler> sampler;
};

TEST(Sampler, FullOnesAreFewAndFollowChange) {
  Fixture f(10);
  const auto full = [&] {
    EXPECT_TRUE(f.sampler->read().ok());
    const MonitorSampleT s = f.sampler->sample();
    EXPECT_EQ(s.full, !s.programs.empty());
    EXPECT_EQ(s.full, !s.domains.empty());
    EXPECT_TRUE(s.cpus[0]->stats);     // always
    EXPECT_EQ(s.counters.size(), 3u);  // always
    return s.full;
  };
  EXPECT_TRUE(full());
  EXPECT_FALSE(full());
  f.guest.poke<uint64_t>(f.guest.at("scx_enable_seq"), 4);  // another scheduler at the same address
  EXPECT_TRUE(full());
  EXPECT_FALSE(full());
  f.guest.poke<uint32_t>(f.guest.at("scx_enable_state_var"), 2);
  EXPECT_TRUE(full());
  for (int i = 5; i < 10; ++i) EXPECT_FALSE(full());
  EXPECT_TRUE(full());
  EXPECT_EQ(f.sampler->sample().index, 10u);
}

TEST(Sampler, ARootReplacedWhileItIsReadIsReadAgain) {
  Fixture f;
  const uint64_t events = f.guest.offset_of(f.guest.at("events0"));
  int changes = 0;
  f.ram.before_read = [&](uint64_t offset) {
    if (offset == events && changes == 0) {
      ++changes;
      f.guest.poke<uint64_t>(f.guest.at("scx_enable_seq"), 8);
    }
  };
  ASSERT_TRUE(f.sampler->read().ok());
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(f.sampler->sample().enable_seq, 8u);
  EXPECT_EQ(f.sampler->sample().counters[2]->value, 4);  // not added up twice
  EXPECT_TRUE(f.sampler->parts_failed().empty());
}

TEST(Sampler, ARootThatChangesForeverIsGivenUp) {
  Fixture f;
  const uint64_t events = f.guest.offset_of(f.guest.at("events0"));
  uint64_t seq = 100;
  f.ram.before_read = [&](uint64_t offset) {
    if (offset == events) f.guest.poke<uint64_t>(f.guest.at("scx_enable_seq"), ++seq);
  };
  ASSERT_TRUE(f.sampler->read().ok());
  EXPECT_TRUE(f.sampler->sample().counters.empty());
  EXPECT_EQ(f.sampler->parts_failed().at("scheduler"), 1u);
  EXPECT_EQ(f.sampler->sample().cpus.size(), 4u);
}

// Damage of every kind, at random: whatever the guest holds, the monitor answers.
TEST(Sampler, RandomDamage) {
  std::mt19937_64 random(20260101);
  for (int round = 0; round < 60; ++round) {
    Fixture f(1);
    const uint64_t begin = f.guest.offset_of(f.guest.at("rq0")) & ~4095ull;
    const uint64_t end = 13u << 20;
    auto& ram = const_cast<testing::VectorRam&>(f.guest.ram());
    const uint64_t pointers[] = {0,
                                 1,
                                 2,
                                 UINT64_MAX,
                                 f.guest.at("scx"),
                                 f.guest.at("idr_node") + 2,
                                 f.guest.at("dsq0"),
                                 f.guest.direct_map(),
                                 f.guest.vmalloc_va(),
                                 0xffffffff81000000ull};
    for (int spoil = 0; spoil < 40; ++spoil) {
      // Structures are close together after the per-CPU areas.
      const uint64_t structs = 10u * (1u << 20) + 4 * 0x10000;
      const uint64_t from = spoil % 4 ? structs : begin;
      const uint64_t to = spoil % 4 ? structs + 0x6000 : end;
      const uint64_t at = (from + random() % (to - from)) & ~7ull;
      const uint64_t value = spoil % 2 ? pointers[random() % std::size(pointers)] : random();
      ram.write(at, &value, 8);
      (void)f.sampler->read();
      (void)f.sampler->sample();
    }
    LayoutCache cache;
    (void)GuestKernel::attach(f.guest.ram(), f.guest.ram_layout(), cache);
  }
}

// The same for what the attach reads: note, symbol table, BTF, page tables.
TEST(Sampler, RandomDamageBeforeTheAttach) {
  std::mt19937_64 random(7);
  int attached = 0;
  for (int round = 0; round < 80; ++round) {
    SyntheticKernel guest({.levels5 = round % 2 == 0, .relative_base = round % 3 == 0});
    auto& ram = const_cast<testing::VectorRam&>(guest.ram());
    for (int spoil = 0; spoil < 6; ++spoil) {
      const uint64_t zones[][2] = {{0x3000, 0x3400}, {0x10000, 0x14000}, {2u << 20, (2u << 20) + 0x60000}};
      const auto& zone = zones[random() % 3];
      const uint64_t value = random();
      ram.write((zone[0] + random() % (zone[1] - zone[0])) & ~7ull, &value, 8);
    }
    LayoutCache cache;
    auto kernel = GuestKernel::attach(guest.ram(), guest.ram_layout(), cache);
    if (!kernel) continue;
    ++attached;
    SystemClock clock;
    Sampler sampler(*kernel, clock, 1);
    (void)sampler.read();
  }
  EXPECT_GT(attached, 0);
}

}  // namespace
}  // namespace ktstr
