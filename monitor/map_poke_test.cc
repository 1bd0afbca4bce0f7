#include "monitor/map_poke.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "monitor/testing/synthetic_btf.h"
#include "monitor/testing/synthetic_kernel.h"
#include "monitor/watchdog_setter.h"
#include "schemas/monitor_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

using testing::SyntheticKernel;

class IntoGuest : public RamWriter {
 public:
  explicit IntoGuest(SyntheticKernel& guest) : guest_(guest) {}
  Status write(uint64_t offset, std::span<const uint8_t> bytes) override {
    guest_.write(guest_.direct_map() + offset, bytes.data(), bytes.size());
    return {};
  }

 private:
  SyntheticKernel& guest_;
};

class Poking : public ::testing::Test {
 protected:
  Poking()
      : kernel_(std::move(*GuestKernel::attach(guest_.ram(), guest_.ram_layout(), cache_))),
        writer_(guest_) {}
  MapWrittenT poke(const std::string& map, const std::string& field, const std::string& value,
                   const std::string& key = "") {
    MapWriteT wanted;
    wanted.map = map;
    wanted.field = field;
    wanted.key = key;
    wanted.value = value;
    return poke_map(kernel_, writer_, wanted, 3, hold_);
  }
  LayoutCache cache_;
  SyntheticKernel guest_;
  GuestKernel kernel_;
  IntoGuest writer_;
  VmHold* hold_ = nullptr;
};

class CountedHold : public VmHold {
 public:
  Status hold() override {
    said += "hold ";
    return fails ? Status(Error::timeout("no answer")) : Status();
  }
  Status release() override {
    said += "release ";
    return {};
  }
  std::string said;
  bool fails = false;
};

TEST_F(Poking, TheVmIsHeldForAnElementOfAHash) {
  CountedHold hold;
  hold_ = &hold;
  EXPECT_EQ(poke(".bss", "cfg.limit", "77").error, "");
  EXPECT_EQ(hold.said, "");
  EXPECT_EQ(poke("cells", "limit", "9", "5").after, "9");
  EXPECT_EQ(hold.said, "hold release ");
  EXPECT_NE(poke("cells", "limit", "9", "44").error, "");
  EXPECT_EQ(hold.said, "hold release hold release ");
  hold.fails = true;
  EXPECT_EQ(poke("cells", "limit", "10", "5").error,
            "the VM could not be paused for an element of a hash: no answer");
  EXPECT_EQ(hold.said, "hold release hold release hold release ");
  hold_ = nullptr;
  EXPECT_EQ(poke("cells", "limit", "11", "5").before, "9");
}

TEST_F(Poking, FieldsOfEachKind) {
  MapWrittenT said = poke(".bss", "cfg.limit", "77");
  EXPECT_EQ(said.error, "");
  EXPECT_EQ(said.before, "18");
  EXPECT_EQ(said.after, "77");
  EXPECT_EQ(said.index, 3u);
  EXPECT_EQ(poke("made_up.bss", "cfg.cells[2]", "-1").before, "-3");
  EXPECT_EQ(poke(".bss", "cfg.cells[2]", "5").before, "-1");
  EXPECT_EQ(poke(".bss", "cfg.on", "false").after, "false");
  EXPECT_EQ(poke(".bss", "cfg.mode", "MODE_SLOW").before, "MODE_FAST");
  EXPECT_EQ(poke(".bss", "cfg.tag", "new").after, "\"new\"");
  EXPECT_EQ(poke(".bss", "enqueued", "0x10").after, "16");
  EXPECT_EQ(poke("cells", "limit", "9", "5").before, "50");
  said = poke("ctx", "", "1", "1");
  EXPECT_EQ(said.before + " " + said.after, "900 1");
  EXPECT_EQ(poke("ctx", "", "2", "1").before, "1");
}

TEST_F(Poking, WhatCannotBeWrittenSaysWhy) {
  const auto error = [&](auto... args) { return poke(args...).error; };
  EXPECT_EQ(
      error(".rodata", "cfg.limit", "1"),
      "the map is read-only since it was loaded: the verifier has compiled its values into the programs");
  EXPECT_EQ(error("nope", "x", "1"),
            "the scheduler's programs use no such map; they use a_map, made_up.bss, made_up.rodata, cells, "
            "ctx, task_ctx");
  EXPECT_EQ(error(".bss", "cfg.lmit", "1"), "there is no \"lmit\"; there are limit, on, mode, cells, tag");
  EXPECT_EQ(error(".bss", "cfg.cells[4]", "1"), "[4]: the array has 4 elements");
  EXPECT_EQ(error(".bss", "cfg.limit", "4294967296"),
            "\"4294967296\" is no unsigned int: it does not fit into 4 bytes");
  EXPECT_EQ(error(".bss", "cfg.on", "maybe"), "\"maybe\" is no _Bool: true or false is needed");
  EXPECT_EQ(error(".bss", "cfg.mode", "MODE_X"),
            "\"MODE_X\" is no enum mode: its values are MODE_SLOW, MODE_FAST");
  EXPECT_EQ(error(".bss", "cfg", "1"),
            "a struct cfg is not written as a whole; name one of its fields: limit, on, mode, cells, tag");
  EXPECT_EQ(error("cells", "limit", "1", "44"), "the map has no element with key 44");
  EXPECT_EQ(error("ctx", "", "1", "2"), "key: 2: the map has 2 elements");
  EXPECT_EQ(error("cells", "limit", "1"), "this map is a hash: say which element (key = …)");
}

TEST(MapNames, FullCutAndWithoutThePrefix) {
  EXPECT_TRUE(names_map(".bss", "scx_demo.bss"));
  EXPECT_TRUE(names_map("scx_demo.bss", "scx_demo.bss"));
  EXPECT_TRUE(names_map("scx_mitosis_x.bss", "scx_mitosis.bss"));  // cut by libbpf
  EXPECT_TRUE(names_map("a_name_of_more_than_15", "a_name_of_more_"));
  EXPECT_FALSE(names_map("other.bss", "scx_demo.bss"));
  EXPECT_FALSE(names_map(".data", "scx_demo.bss"));
  EXPECT_FALSE(names_map("", "x"));
}

TEST(RamWriter, WritesASealedMemfdAndNothingElse) {
  UniqueFd fd(::memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(fd.get(), 8192), 0);
  const std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  EXPECT_FALSE(open_ram_writer(path).ok());  // could shrink
  ASSERT_EQ(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  auto writer = open_ram_writer(path);
  ASSERT_TRUE(writer.ok()) << writer.error().message();
  const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_TRUE((*writer)->write(4096 + 8, bytes).ok());
  EXPECT_FALSE((*writer)->write(8190, bytes).ok());
  EXPECT_FALSE((*writer)->write(~0ull, bytes).ok());
  uint8_t seen[8] = {};
  ASSERT_EQ(::pread(fd.get(), seen, 8, 4096 + 8), 8);
  EXPECT_EQ(std::memcmp(seen, bytes, 8), 0);
}

class Watchdog : public Poking, public ::testing::WithParamInterface<bool> {
 protected:
  Watchdog() {
    guest_ = SyntheticKernel({.pcpu_layout = GetParam()});
    LayoutCache fresh;
    kernel_ = std::move(*GuestKernel::attach(guest_.ram(), guest_.ram_layout(), fresh));
  }
  void in_force(uint64_t jiffies) {
    guest_.poke<uint64_t>(
        GetParam() ? guest_.at("scx") + testing::kScxWatchdog : guest_.at("scx_watchdog_timeout"), jiffies);
  }
  void state(uint32_t value) { guest_.poke<uint32_t>(guest_.at("scx_enable_state_var"), value); }
};
INSTANTIATE_TEST_SUITE_P(InTheSchedulerAndGlobal, Watchdog, ::testing::Values(true, false));

TEST_P(Watchdog, IsWrittenBeforeTheSchedulerIsAttached) {
  state(3);
  WatchdogSetter setter(kernel_, writer_, 2'000'000'000);
  EXPECT_FALSE(setter.look());
  const auto written =
      kernel_.memory().get<uint32_t>(guest_.at("ops_value") + testing::kOpsValueData + testing::kOpsTimeout);
  EXPECT_EQ(written, 2000u);
  in_force(500);  // the kernel took it
  state(1);
  const auto said = setter.look();
  ASSERT_TRUE(said);
  EXPECT_EQ(said->error, "");
  EXPECT_EQ(said->before_ns, 5'000'000'000u);
  EXPECT_EQ(said->after_ns, 2'000'000'000u);
  EXPECT_FALSE(setter.look());
}

TEST_P(Watchdog, ATimeoutBetweenTwoTicksIsRoundedUpAsTheKernelDoes) {
  state(3);
  WatchdogSetter setter(kernel_, writer_, 250'000'000);
  EXPECT_FALSE(setter.look());
  in_force(63);  // 62.5 at HZ = 250
  state(1);
  auto said = setter.look();
  ASSERT_TRUE(said);
  EXPECT_EQ(said->error, "");
  EXPECT_EQ(said->after_ns, 252'000'000u);
  in_force(62);
  said = WatchdogSetter(kernel_, writer_, 250'000'000).look();  // missed, and made longer
  ASSERT_TRUE(said);
  EXPECT_EQ(said->error, "");
  EXPECT_EQ(said->after_ns, 252'000'000u);
}

TEST_P(Watchdog, TooLateToBeShorterNotToBeLonger) {
  WatchdogSetter shorter(kernel_, writer_, 2'000'000'000);
  auto said = shorter.look();  // enabled already, with 1250 jiffies
  ASSERT_TRUE(said);
  EXPECT_NE(said->error.find("before its timeout could be made shorter"), std::string::npos) << said->error;
  WatchdogSetter longer(kernel_, writer_, 20'000'000'000);
  said = longer.look();
  ASSERT_TRUE(said);
  EXPECT_EQ(said->error, "");
  EXPECT_EQ(said->after_ns, 20'000'000'000u);
}

}  // namespace
}  // namespace ktstr
