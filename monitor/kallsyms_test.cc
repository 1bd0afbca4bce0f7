#include "monitor/kallsyms.h"

#include <gtest/gtest.h>

#include "monitor/testing/synthetic_kernel.h"

namespace ktstr {
namespace {

using testing::SyntheticKernel;
using testing::SyntheticOptions;

class Kallsyms : public ::testing::TestWithParam<bool> {
 protected:
  Kallsyms()
      : kernel_({.relative_base = GetParam()}),
        physical_(kernel_.ram(), kernel_.ram_layout()),
        memory_(physical_, {kernel_.root_gpa(), false}),
        info_(find_vmcoreinfo(kernel_.ram()).value().info) {}
  Result<Symbols> decode(const std::vector<std::string>& wanted) {
    const auto tables = KallsymsTables::from(info_);
    if (!tables) return tables.error();
    return decode_kallsyms(memory_, *tables, wanted, {"init_top_pgt", *info_.symbol("init_top_pgt")});
  }
  std::string failure() {
    const auto symbols = decode({"scx_root"});
    return symbols.ok() ? "no failure" : symbols.error().message();
  }
  SyntheticKernel kernel_;
  PhysicalMemory physical_;
  PagedMemory memory_;
  VmcoreInfo info_;
};
INSTANTIATE_TEST_SUITE_P(RelativeBaseAndSelfRelative, Kallsyms, ::testing::Values(true, false));

TEST_P(Kallsyms, WantedNamesOnly) {
  const auto symbols = decode({"scx_root", "__per_cpu_offset", "nr_cpu_ids", "no_such_thing"});
  ASSERT_TRUE(symbols.ok()) << symbols.error().message();
  EXPECT_EQ(symbols->address.at("scx_root"), kernel_.at("scx_root"));
  EXPECT_EQ(symbols->address.at("__per_cpu_offset"), kernel_.at("__per_cpu_offset"));
  EXPECT_EQ(symbols->address.at("nr_cpu_ids"), kernel_.at("nr_cpu_ids"));
  EXPECT_FALSE(symbols->address.contains("no_such_thing"));
  EXPECT_FALSE(symbols->address.contains("filler_function_0"));
  EXPECT_GT(symbols->seen, 2000u);
}

TEST_P(Kallsyms, NamesWithATwoByteLength) {
  const std::string name = "a_name_longer_than_127_" + std::string(200, 'x');
  const auto symbols = decode({name});
  ASSERT_TRUE(symbols.ok());
  EXPECT_TRUE(symbols->address.contains(name));
}

TEST_P(Kallsyms, AbsurdCount) {
  kernel_.poke<uint32_t>(kernel_.at("kallsyms_num_syms"), 0xffffffff);
  EXPECT_NE(failure().find("senseless"), std::string::npos) << failure();
  kernel_.poke<uint32_t>(kernel_.at("kallsyms_num_syms"), 0);
  EXPECT_NE(failure().find("senseless"), std::string::npos) << failure();
}

TEST_P(Kallsyms, CountBeyondTheTableEnds) {
  kernel_.poke<uint32_t>(kernel_.at("kallsyms_num_syms"), 4u << 20);
  EXPECT_NE(failure(), "no failure");
}

TEST_P(Kallsyms, DamagedNames) {
  kernel_.poke<uint8_t>(kernel_.at("kallsyms_names"), 0xff);
  kernel_.poke<uint8_t>(kernel_.at("kallsyms_names") + 1, 0x7f);
  EXPECT_NE(failure().find("damaged at symbol 0"), std::string::npos) << failure();
}

TEST_P(Kallsyms, TokensThatLeadAstray) {
  kernel_.poke<uint16_t>(kernel_.at("kallsyms_token_index") + 2 * 'a', 0xffff);
  EXPECT_NE(failure().find("token"), std::string::npos) << failure();
}

TEST_P(Kallsyms, AddressesThatContradictTheNote) {
  const uint64_t count = memory_.get<uint32_t>(kernel_.at("kallsyms_num_syms")).value();
  for (uint64_t i = 0; i < count; ++i) kernel_.poke<uint32_t>(kernel_.at("kallsyms_offsets") + i * 4, 77);
  EXPECT_NE(failure().find("does not agree"), std::string::npos) << failure();
}

TEST(KallsymsTables, NotNamedByTheNote) {
  const auto tables = KallsymsTables::from(VmcoreInfo::parse("SYMBOL(kallsyms_names)=ffffffff81000000\n"));
  ASSERT_FALSE(tables.ok());
  EXPECT_EQ(tables.error().kind(), ErrorKind::kUnsupported);
}

TEST(VmcoreInfo, ParsesWhatItCan) {
  const VmcoreInfo info = VmcoreInfo::parse(
      "OSRELEASE=7.3.4\nNUMBER(phys_base)=-2097152\nSYMBOL(x)=ffffffff81000000\nno "
      "equals\n=empty\nKERNELOFFSET=12g\n");
  EXPECT_EQ(info.release(), "7.3.4");
  EXPECT_EQ(info.number("phys_base"), -2097152);
  EXPECT_EQ(info.symbol("x"), 0xffffffff81000000ull);
  EXPECT_EQ(info.kaslr_offset(), 0u);
  EXPECT_FALSE(info.symbol("y"));
}

TEST(VmcoreInfo, ANoteWithALyingSize) {
  testing::VectorRam ram(1 << 20);
  const uint32_t head[3] = {11, 0xffffffff, 0};
  ram.write(0x5000, head, 12);
  ram.write(0x5000 + 12, "VMCOREINFO\0", 12);
  ram.write(0x5000 + 24, "OSRELEASE=x\n", 12);
  EXPECT_FALSE(find_vmcoreinfo(ram).ok());
  const uint32_t good[3] = {11, 12, 0};
  ram.write(0xff000, good, 12);  // on the last page
  ram.write(0xff000 + 12, "VMCOREINFO\0", 12);
  ram.write(0xff000 + 24, "OSRELEASE=y\n", 12);
  const auto found = find_vmcoreinfo(ram);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->info.release(), "y");
  EXPECT_EQ(found->offset, 0xff000u);
}

}  // namespace
}  // namespace ktstr
