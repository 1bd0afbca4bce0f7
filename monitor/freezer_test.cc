#include "monitor/freezer.h"

#include <bpf/btf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "monitor/btf_value.h"
#include "monitor/death_watch.h"
#include "monitor/testing/synthetic_btf.h"
#include "monitor/testing/synthetic_kernel.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

using testing::SyntheticKernel;
using testing::SyntheticOptions;

constexpr uint64_t kWild = 0xdead000000000000ull;

class Freezing : public ::testing::Test {
 protected:
  explicit Freezing(const SyntheticOptions& options = {}) : guest_(options), kernel_(attach()) {}
  GuestKernel attach() {
    auto kernel = GuestKernel::attach(guest_.ram(), guest_.ram_layout(), cache_);
    if (!kernel) ADD_FAILURE() << kernel.error().message();
    return std::move(*kernel);
  }
  GuestFrozenT freeze(const FreezeLimits& limits = {}) {
    kernel_.refresh();
    return render(capture(kernel_, limits), kernel_.layout(), limits);
  }
  static const FrozenMapT* map(const GuestFrozenT& frozen, const std::string& name) {
    for (const auto& m : frozen.maps)
      if (m->name == name) return m.get();
    return nullptr;
  }
  // "name=value name=value" of an entry.
  static std::string text(const FrozenEntryT& entry) {
    std::string out = entry.key;
    for (const auto& f : entry.fields) out += (out.empty() ? "" : " ") + f->name + "=" + f->value;
    return out;
  }
  LayoutCache cache_;
  SyntheticKernel guest_;
  GuestKernel kernel_;
};

TEST_F(Freezing, TasksWhereTheyAre) {
  const GuestFrozenT f = freeze();
  ASSERT_EQ(f.cpus.size(), 4u);
  EXPECT_EQ(f.ops_name, "made_up");
  ASSERT_EQ(f.cpus[1]->tasks.size(), 2u);
  EXPECT_EQ(f.cpus[1]->tasks[1]->pid, 201);
  EXPECT_EQ(f.cpus[1]->tasks[1]->wait_ns, 50 * 4'000'000u);
  EXPECT_EQ(f.cpus[1]->tasks[1]->state, "R");
  EXPECT_TRUE(f.cpus[1]->idle);
  // four local DSQs, two user ones, the global one
  ASSERT_EQ(f.dsqs.size(), 7u);
  EXPECT_EQ(f.dsqs[2]->id, (1ull << 63) | 2);
  EXPECT_EQ(f.dsqs[2]->place, 2u);
  ASSERT_EQ(f.dsqs[2]->tasks.size(), 1u);
  EXPECT_EQ(f.dsqs[2]->tasks[0]->comm, "waiting");
  EXPECT_TRUE(f.absent.empty()) << f.absent[0];
}

TEST_F(Freezing, MapsByTheNamesOfTheirFields) {
  const GuestFrozenT f = freeze();
  const FrozenMapT* bss = map(f, "made_up.bss");
  ASSERT_TRUE(bss);
  ASSERT_EQ(bss->entries.size(), 1u);
  EXPECT_EQ(text(*bss->entries[0]),
            "enqueued=501 cfg.limit=18 cfg.on=true cfg.mode=MODE_FAST cfg.cells[2]=-3 cfg.tag=\"tagged\"");
  const FrozenMapT* hash = map(f, "cells");
  ASSERT_TRUE(hash);
  ASSERT_EQ(hash->entries.size(), 2u);
  EXPECT_TRUE(text(*hash->entries[0]).starts_with("6 limit=51 ")) << text(*hash->entries[0]);
  EXPECT_EQ(hash->type_name, "hash");
  const FrozenMapT* percpu = map(f, "ctx");
  ASSERT_TRUE(percpu);
  ASSERT_EQ(percpu->entries.size(), 4u);  // element 0 was never written
  EXPECT_EQ(text(*percpu->entries[3]), "1, CPU 3 value=903");
  const FrozenMapT* tasks = map(f, "task_ctx");
  ASSERT_TRUE(tasks);
  ASSERT_EQ(tasks->entries.size(), 1u);
  EXPECT_TRUE(text(*tasks->entries[0]).starts_with("running[100] limit=33")) << text(*tasks->entries[0]);
}

TEST_F(Freezing, LimitsAreSaid) {
  const GuestFrozenT f =
      freeze({.tasks_per_queue = 1, .maps = 2, .entries_per_map = 1, .fields_per_entry = 2});
  EXPECT_EQ(f.cpus[0]->tasks.size(), 1u);
  EXPECT_EQ(f.cpus[0]->tasks_left_out, 1u);
  ASSERT_EQ(f.maps.size(), 2u);
  EXPECT_EQ(f.maps[1]->entries[0]->fields.size(), 2u);
  EXPECT_EQ(f.maps[1]->entries[0]->fields_left_out, 4u);
  ASSERT_EQ(f.absent.size(), 1u);
  EXPECT_EQ(f.absent[0], "maps: 4 more were not read");
}

TEST_F(Freezing, ReadingIsBoundedThoughNothingIsKept) {
  const GuestFrozenT f = freeze({.read_bytes = 64});
  const auto cut = std::count_if(f.maps.begin(), f.maps.end(), [](const auto& m) {
    return m->note == "there was too much to read: the rest is left out";
  });
  EXPECT_GT(cut, 0);
}

// 12 unions in each other with 8 members each: 8^12 leaves on the same 4 bytes.
TEST(BtfValues, UnionsWithinUnionsAreBounded) {
  std::unique_ptr<btf, void (*)(btf*)> types(btf__new_empty(), btf__free);
  int inner = btf__add_int(types.get(), "unsigned int", 4, 0);
  for (int level = 0; level < 12; ++level) {
    const int next = btf__add_union(types.get(), ("u" + std::to_string(level)).c_str(), 4);
    for (int member = 0; member < 8; ++member)
      btf__add_field(types.get(), ("m" + std::to_string(member)).c_str(), inner, 0, 0);
    inner = next;
  }
  uint32_t size = 0;
  const auto* raw = static_cast<const uint8_t*>(btf__raw_data(types.get(), &size));
  const auto view = BtfView::from_bytes({raw, size});
  ASSERT_TRUE(view.ok());
  const std::vector<uint8_t> bytes = {1, 2, 3, 4};
  FieldSink sink;
  sink.visits = 1000;
  render_fields(*view, static_cast<uint32_t>(inner), bytes, "", sink);
  EXPECT_EQ(sink.visits, 0u);
  EXPECT_GE(sink.fields.size() + sink.left_out, 256u);
  EXPECT_LE(sink.fields.size() + sink.left_out, 1001u);
  FieldSink by_default;  // must end
  render_fields(*view, static_cast<uint32_t>(inner), bytes, "", by_default);
  EXPECT_GT(by_default.left_out, 0u);
}

TEST_F(Freezing, AChainThatIsALoopEndsThatWalkOnly) {
  guest_.poke<uint64_t>(guest_.at("element0"), guest_.at("element1"));
  guest_.poke<uint64_t>(guest_.at("waiting1") + testing::kTaskList,
                        guest_.at("waiting1") + testing::kTaskList);
  const GuestFrozenT f = freeze({.steps_per_map = 1000});
  EXPECT_FALSE(map(f, "cells")->note.empty());
  EXPECT_GT(map(f, "cells")->entries_left_out, 0u);
  EXPECT_EQ(text(*map(f, "made_up.bss")->entries[0]).substr(0, 12), "enqueued=501");
  ASSERT_EQ(f.absent.size(), 1u);
  EXPECT_EQ(f.absent[0], "local DSQ of CPU 1: cut where it made no sense");
}

TEST_F(Freezing, WildPointersAndAbsurdCounts) {
  guest_.poke<uint64_t>(guest_.at("map.hash") + testing::kHashBuckets, kWild);
  guest_.poke<uint32_t>(guest_.at("map.bss") + testing::kMapEntries, UINT32_MAX);
  guest_.poke<uint32_t>(guest_.at("map.percpu") + testing::kMapValue, UINT32_MAX);
  guest_.poke<uint32_t>(guest_.at("map.tasks") + testing::kStorageLog, 63);
  guest_.poke<uint32_t>(guest_.at("program_btf") + testing::kBtfSize, UINT32_MAX);
  guest_.poke<uint64_t>(guest_.at("rq0") + testing::kRqCurr, kWild);
  const GuestFrozenT f = freeze();
  EXPECT_EQ(map(f, "cells")->note, "a pointer led nowhere");
  EXPECT_FALSE(map(f, "made_up.bss")->note.empty());
  EXPECT_EQ(map(f, "task_ctx")->note, "a pointer led nowhere");
  EXPECT_FALSE(f.cpus[0]->curr);
  EXPECT_EQ(f.cpus.size(), 4u);
}

TEST_F(Freezing, TheSchedulerIsGoneAlready) {
  guest_.poke<uint64_t>(guest_.at("scx_root"), 0);
  for (const char* slot : {"idr_node"}) {
    for (int i = 0; i < 64; ++i) guest_.poke<uint64_t>(guest_.at(slot) + testing::kNodeSlots + i * 8u, 0);
  }
  const GuestFrozenT f = freeze();
  ASSERT_EQ(f.absent.size(), 2u);
  EXPECT_EQ(f.absent[0], "DSQs: sched_ext's root scheduler is gone");
  EXPECT_EQ(f.absent[1], "maps: no program of sched_ext is loaded any more");
}

// With any content of the structures it ends and does not crash (run under the sanitizers).
TEST_F(Freezing, RandomDamage) {
  const char* const places[] = {"map.bss",  "map.hash",    "map.percpu", "map.tasks", "buckets", "element0",
                                "element1", "program_btf", "rq0",        "rq1",       "task0",   "waiting0",
                                "dsq0",     "dsq_table",   "global",     "scx"};
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    SyntheticKernel guest;
    auto kernel = GuestKernel::attach(guest.ram(), guest.ram_layout(), cache_);
    ASSERT_TRUE(kernel.ok());
    for (int i = 0; i < 4; ++i) {
      const uint64_t at = guest.at(places[random() % std::size(places)]) + random() % 16 * 8;
      const uint64_t values[] = {random(),        0, ~0ull, kWild, guest.at("element0"), guest.at("scx"),
                                 random() % 4096, at};
      guest.poke<uint64_t>(at, values[random() % std::size(values)]);
    }
    const FreezeLimits limits{.entries_per_map = 32, .steps_per_map = 4096, .total_bytes = 1u << 20};
    const GuestFrozenT f = render(capture(*kernel, limits), kernel->layout(), limits);
    EXPECT_LE(f.maps.size(), limits.maps);
  }
}

// The program's BTF is the guest's as well.
TEST_F(Freezing, RandomDamageOfTheProgramsBtf) {
  std::mt19937_64 random(11);
  const auto data = kernel_.memory().pointer(guest_.at("program_btf") + testing::kBtfData);
  const auto good = testing::make_synthetic_program_btf().bytes;
  for (int round = 0; round < 500; ++round) {
    guest_.write(*data, good.data(), good.size());
    for (int i = 0; i < 3; ++i)
      guest_.poke<uint8_t>(*data + random() % good.size(), static_cast<uint8_t>(random()));
    const GuestFrozenT f = freeze();
    EXPECT_TRUE(map(f, "made_up.bss"));
  }
}

TEST_F(Freezing, ADeathIsToldOnce) {
  DeathWatch watch(kernel_);
  EXPECT_FALSE(watch.look());
  guest_.poke<int32_t>(guest_.at("scx") + testing::kScxExitKind, 1025);
  const auto death = watch.look();
  ASSERT_TRUE(death);
  EXPECT_EQ(death->exit_kind, 1025u);
  guest_.poke<int32_t>(guest_.at("scx") + testing::kScxExitKind, 1);
  EXPECT_FALSE(watch.look());
  guest_.poke<uint64_t>(guest_.at("scx_enable_seq"), 4);  // another one, at the same place
  guest_.poke<int32_t>(guest_.at("scx") + testing::kScxExitKind, 0);
  EXPECT_FALSE(watch.look());
  guest_.poke<int32_t>(guest_.at("scx") + testing::kScxExitKind, 64);
  EXPECT_TRUE(watch.look());
}

TEST_F(Freezing, WhatWasNeverSeenAliveDoesNotDie) {
  guest_.poke<int32_t>(guest_.at("scx") + testing::kScxExitKind, 1);
  DeathWatch watch(kernel_);
  EXPECT_FALSE(watch.look());
}

}  // namespace
}  // namespace ktstr
