#include "bpf/kernel_image.h"

#include <gtest/gtest.h>

#include <random>

#include "base/decompress.h"
#include "bpf/testing/fake_kernel.h"

namespace ktstr {
namespace {

using Bytes = std::vector<uint8_t>;

class KernelImageTest : public testing::Test {
 protected:
  Result<KernelImage> read(const Bytes& bytes) {
    write_test_file(dir_ / "image", bytes);
    return read_kernel_image(dir_ / "image");
  }
  TestDir dir_;
};

TEST_F(KernelImageTest, ReadsEveryPackingByHeaderAndByScanning) {
  FakeKernel kernel;
  for (auto packing : {FakePacking::kZstd, FakePacking::kXz, FakePacking::kGzip}) {
    for (bool header : {true, false}) {
      SCOPED_TRACE(std::to_string(static_cast<int>(packing)) + (header ? " by header" : " by scanning"));
      auto image = read(fake_bzimage(kernel, fake_vmlinux(kernel), packing, header));
      ASSERT_TRUE(image.ok()) << image.error().to_string();
      EXPECT_EQ(image->release, kernel.release);
      EXPECT_EQ(image->banner, "Linux version " + kernel.release + " (tester@nowhere) #1 SMP");
      EXPECT_EQ(image->build_id, kernel.build_id);
      EXPECT_TRUE(image->bzimage);
      EXPECT_TRUE(image->sched_ext);
      EXPECT_TRUE(check_kernel_usable(*image).ok());
    }
  }
}

TEST_F(KernelImageTest, ReadsABareVmlinux) {
  FakeKernel kernel;
  auto image = read(fake_vmlinux(kernel));
  ASSERT_TRUE(image.ok()) << image.error().to_string();
  EXPECT_EQ(image->release, kernel.release);
  EXPECT_FALSE(image->bzimage);
}

TEST_F(KernelImageTest, NamesTheMissingOption) {
  FakeKernel no_btf, no_scx;
  no_btf.btf = false;
  no_scx.sched_ext = false;
  auto image = read(fake_vmlinuz(no_btf));
  ASSERT_TRUE(image.ok());
  auto usable = check_kernel_usable(*image);
  ASSERT_FALSE(usable.ok());
  EXPECT_EQ(usable.error().kind(), ErrorKind::kUnsupported);
  EXPECT_NE(usable.error().message().find("CONFIG_DEBUG_INFO_BTF"), std::string::npos);

  image = read(fake_vmlinuz(no_scx));
  ASSERT_TRUE(image.ok());
  usable = check_kernel_usable(*image);
  ASSERT_FALSE(usable.ok());
  EXPECT_NE(usable.error().message().find("CONFIG_SCHED_CLASS_EXT"), std::string::npos);
}

TEST_F(KernelImageTest, RefusesWhatIsNoKernel) {
  auto expect_error = [&](const Bytes& bytes, const char* text) {
    auto image = read(bytes);
    ASSERT_FALSE(image.ok()) << text;
    EXPECT_NE(image.error().message().find(text), std::string::npos) << image.error().message();
  };
  expect_error({}, "is empty");
  std::string prose(5000, 'x');
  expect_error(Bytes(prose.begin(), prose.end()), "not an x86-64 Linux kernel");
  FakeKernel arm;
  arm.machine = 183;
  expect_error(fake_vmlinux(arm), "not for x86-64");
  auto directory = read_kernel_image(dir_.path());
  ASSERT_FALSE(directory.ok());
  EXPECT_NE(directory.error().message().find("directory"), std::string::npos);
  auto missing = read_kernel_image(dir_ / "nothing");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
}

TEST_F(KernelImageTest, TruncationIsSaidAtEveryLength) {
  for (auto packing : {FakePacking::kZstd, FakePacking::kXz, FakePacking::kGzip}) {
    auto whole = fake_bzimage({}, fake_vmlinux({}), packing);
    for (size_t size = 0; size + 200 < whole.size(); size += 97) {
      auto image = read(Bytes(whole.begin(), whole.begin() + static_cast<long>(size)));
      EXPECT_FALSE(image.ok()) << size << " of " << whole.size();
    }
  }
}

// Any outcome is right as long as there is one.
TEST_F(KernelImageTest, SurvivesDamage) {
  std::mt19937 random(7);
  for (const Bytes& whole : {fake_vmlinux({}), fake_vmlinuz({})}) {
    for (int round = 0; round < 300; ++round) {
      Bytes damaged = whole;
      for (int i = 0; i < 4; ++i) damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
      auto image = read(damaged);
      if (image.ok()) {
        EXPECT_LE(image->btf.size(), damaged.size() * 100);
      }
    }
  }
}

// libarchive 3.6 fails both for zstd and xz (base/decompress.cc).
TEST(Decompress, OtherBytesAfterTheFirstFrameAreIgnoredAndACutFrameIsNamed) {
  Bytes content(3u << 20);
  std::mt19937 random(3);
  for (auto& byte : content) byte = static_cast<uint8_t>(random());
  const std::pair<FakePacking, const char*> kinds[] = {
      {FakePacking::kZstd, "zstd"}, {FakePacking::kXz, "xz"}, {FakePacking::kGzip, "gzip"}};
  for (const auto& [packing, name] : kinds) {
    SCOPED_TRACE(name);
    Bytes image = fake_bzimage({}, content, packing);
    image.insert(image.end(), 100, 0x5a);
    auto stream = std::span<const uint8_t>(image).subspan(5 * 512 + 1000);
    ASSERT_STREQ(stream_kind_name(stream_kind(stream)), name);
    auto out = decompress_stream(stream, {}, 4u << 20);
    ASSERT_TRUE(out.ok()) << out.error().to_string();
    EXPECT_EQ(*out, content);
    auto cut = decompress_stream(stream.first(1u << 20), {}, 4u << 20);
    ASSERT_FALSE(cut.ok());
    EXPECT_EQ(cut.error().message(), std::string(name) + ": truncated data");
  }
}

TEST(Decompress, ABombIsStopped) {
  Bytes bomb(40u << 20);
  auto image = fake_bzimage({}, bomb, FakePacking::kZstd);
  auto stream = std::span<const uint8_t>(image).subspan(5 * 512 + 1000);
  EXPECT_TRUE(decompress_stream(stream, {}, 40u << 20).ok());
  auto stopped = decompress_stream(stream, {}, 10u << 20);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kExhausted);
}

}  // namespace
}  // namespace ktstr
