#include "monitor/ram_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "monitor/testing/synthetic_kernel.h"

namespace ktstr {
namespace {

constexpr uint64_t kMiB = 1u << 20;

struct Memfd {
  explicit Memfd(uint64_t size, int seals = 0) : fd(::memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
    if (seals) {
      EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
    }
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd.get()); }
  UniqueFd fd;
};

class OpenRam : public ::testing::TestWithParam<int> {};

TEST_P(OpenRam, ReadsAndRefusesWhatLiesBeyondTheEnd) {
  Memfd file(kMiB, GetParam());
  const uint32_t word = 0xabcd1234;
  ASSERT_EQ(::pwrite(file.fd.get(), &word, 4, kMiB - 4), 4);
  const auto ram = open_ram_file(file.path());
  ASSERT_TRUE(ram.ok());
  ASSERT_EQ((*ram)->data_ranges().size(), 1u);  // the one page written
  EXPECT_EQ((*ram)->data_ranges()[0].begin, kMiB - 4096);
  uint32_t got = 0;
  EXPECT_TRUE((*ram)->read(kMiB - 4, &got, 4));
  EXPECT_EQ(got, word);
  EXPECT_FALSE((*ram)->read(kMiB - 3, &got, 4));
  EXPECT_FALSE((*ram)->read(UINT64_MAX - 1, &got, 4));
  std::vector<uint8_t> all(kMiB);
  EXPECT_TRUE((*ram)->read(0, all.data(), kMiB));
  EXPECT_FALSE((*ram)->read(1, all.data(), kMiB));
}
INSTANTIATE_TEST_SUITE_P(SealedAndNot, OpenRam, ::testing::Values(0, F_SEAL_SHRINK | F_SEAL_GROW));

TEST(RamFile, AFileCutUnderTheReaderIsAnErrorNotASignal) {
  Memfd file(kMiB);
  const auto ram = open_ram_file(file.path());
  ASSERT_TRUE(ram.ok());
  ASSERT_EQ(::ftruncate(file.fd.get(), 4096), 0);
  uint32_t got = 0;
  EXPECT_TRUE((*ram)->read(0, &got, 4));
  EXPECT_FALSE((*ram)->read(kMiB / 2, &got, 4));
  EXPECT_FALSE((*ram)->read(4094, &got, 4));
}

TEST(RamFile, ErrorsNameTheFile) {
  EXPECT_NE(open_ram_file("/proc/self/fd/987").error().message().find("/proc/self/fd/987"),
            std::string::npos);
  Memfd empty(0);
  EXPECT_FALSE(open_ram_file(empty.path()).ok());
}

TEST(PhysicalMemory, HoleBelowFourGiB) {
  testing::VectorRam ram(4 * kMiB);
  ram.write(3 * kMiB, "high", 4);
  const PhysicalMemory memory(ram, {4 * kMiB, 3 * kMiB});
  char got[4];
  EXPECT_TRUE(memory.read(4096 * kMiB, got, 4));
  EXPECT_EQ(std::string(got, 4), "high");
  EXPECT_TRUE(memory.read(3 * kMiB - 4, got, 4));
  EXPECT_FALSE(memory.read(3 * kMiB - 3, got, 4));  // into the hole
  EXPECT_FALSE(memory.read(3 * kMiB, got, 4));
  EXPECT_FALSE(memory.read(4097 * kMiB, got, 4));
  EXPECT_FALSE(memory.read(4097 * kMiB - 2, got, 4));
  EXPECT_EQ(memory.address_of(3 * kMiB), 4096 * kMiB);
  EXPECT_EQ(memory.end(), 4097 * kMiB);
}

TEST(PhysicalMemory, ALayoutLargerThanTheFileIsCut) {
  testing::VectorRam ram(kMiB);
  const PhysicalMemory memory(ram, {1ull << 40, 1ull << 39});
  char got;
  EXPECT_TRUE(memory.read(kMiB - 1, &got, 1));
  EXPECT_FALSE(memory.read(kMiB, &got, 1));
}

TEST(RamLayout, Q35) {
  EXPECT_EQ(RamLayout::q35(1024 * kMiB).lowmem, 1024 * kMiB);
  EXPECT_EQ(RamLayout::q35(0xb0000000).lowmem, 0x80000000u);
}

}  // namespace
}  // namespace ktstr
