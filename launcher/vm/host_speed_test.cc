#include "launcher/vm/host_speed.h"

#include <gtest/gtest.h>

#include "launcher/vm/accelerator.h"

namespace ktstr {
namespace {

TEST(HostSpeed, TheRomStartsWhereACpuStarts) {
  std::string rom = speed_rom(0x01020304);
  ASSERT_EQ(rom.size(), 64u << 10) << "it ends at the top of memory";
  EXPECT_EQ(rom.substr(0xfff0, 5), std::string("\xea\0\0\0\xf0", 5));
  EXPECT_NE(rom.find(std::string("\x66\xb9\x04\x03\x02\x01", 6)), std::string::npos);
  size_t jump = rom.find("\x66\x49\x75");
  ASSERT_NE(jump, std::string::npos);
  // Back to the multiplication.
  EXPECT_EQ(rom.substr(jump + 4 + static_cast<size_t>(static_cast<signed char>(rom[jump + 3])), 3),
            "\x66\x69\xc0");
}

TEST(HostSpeed, ARealMachineIsMeasured) {
  auto qemu = find_qemu("", "/usr/local/bin:/usr/bin:/bin");
  if (!qemu) GTEST_SKIP() << "no QEMU here";
  auto fact = measure_host_speed({.qemu = *qemu, .accelerator = "tcg", .folder = ::testing::TempDir()});
  ASSERT_TRUE(fact.ok()) << fact.error().to_string();
  EXPECT_GT(fact->speed, 0);
  EXPECT_LT(fact->speed, 1000);
  RecordProperty("speed", fact->note);
  EXPECT_NE(fact->note.find("60 M rounds"), std::string::npos);
}

TEST(HostSpeed, AMachineThatDoesNotStartIsAnError) {
  EXPECT_FALSE(
      measure_host_speed({.qemu = "/nowhere/qemu", .accelerator = "tcg", .folder = ::testing::TempDir()})
          .ok());
  EXPECT_FALSE(
      measure_host_speed({.qemu = "/bin/true", .accelerator = "tcg", .folder = ::testing::TempDir()}).ok());
}

}  // namespace
}  // namespace ktstr
