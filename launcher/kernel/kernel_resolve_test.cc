#include "launcher/kernel/kernel_resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "bpf/testing/fake_kernel.h"

namespace ktstr {
namespace {

using ::testing::HasSubstr;

class KernelResolveTest : public testing::Test {
 protected:
  void cache(const std::string& release) {
    FakeKernel kernel;
    kernel.release = release;
    auto lock = cache_.lock({});
    auto staging = cache_.make_staging();
    write_test_file(*staging + "/vmlinuz", fake_vmlinuz(kernel));
    ASSERT_TRUE(cache_.install(*staging, "p").ok());
  }
  Result<ResolvedKernel> resolve(const std::string& flag, const std::string& environment = "") {
    return resolve_kernel(cache_, {flag, environment});
  }

  TestDir dir_;
  KernelCache cache_{dir_ / "kernels"};
};

TEST_F(KernelResolveTest, NothingCachedSaysHowToGetOne) {
  auto resolved = resolve("");
  ASSERT_FALSE(resolved.ok());
  EXPECT_EQ(resolved.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(resolved.error().hint().find("kernel fetch"), std::string::npos);
}

TEST_F(KernelResolveTest, FlagBeatsEnvironmentBeatsNewest) {
  cache("7.2.1-a");
  cache("7.3.1-a");
  auto newest = resolve("");
  ASSERT_TRUE(newest.ok()) << newest.error().to_string();
  EXPECT_EQ(newest->info.release, "7.3.1-a");
  EXPECT_EQ(newest->info.origin, "newest cached");
  auto environment = resolve("", "7.2");
  EXPECT_EQ(environment->info.release, "7.2.1-a");
  EXPECT_EQ(environment->info.origin, "KTSTR_KERNEL=7.2");
  auto flag = resolve("7.3", "7.2");
  EXPECT_EQ(flag->info.release, "7.3.1-a");
  EXPECT_EQ(flag->info.origin, "--kernel 7.3");
}

TEST_F(KernelResolveTest, ACachedImageIsReadAgainOnlyWhenSomebodyWroteIt) {
  cache("7.3.1-a");
  ASSERT_TRUE(resolve("7.3").ok());
  EXPECT_EQ(resolve("7.3")->info.btf_file, std::filesystem::canonical(dir_ / "kernels/7.3.1-a/btf"));
  write_test_file(dir_ / "kernels/7.3.1-a/vmlinuz", std::string("no kernel any more"));
  EXPECT_FALSE(resolve("7.3").ok());
}

TEST_F(KernelResolveTest, AnEntryWhoseImageWasCopiedIsCheckedOnce) {
  cache("7.3.1-a");
  const std::string image = dir_ / "kernels/7.3.1-a/vmlinuz";
  std::filesystem::last_write_time(image,
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_FALSE(cache_.find("7.3").value()->checked);
  auto resolved = resolve("7.3");
  ASSERT_TRUE(resolved.ok()) << resolved.error().to_string();
  EXPECT_EQ(resolved->info.btf_file, "");
  EXPECT_TRUE(cache_.find("7.3").value()->checked);
  EXPECT_EQ(resolve("7.3")->info.build_id, resolved->info.build_id);
}

TEST_F(KernelResolveTest, AnEntryWhoseBtfIsNotTheImagesIsNeverTrusted) {
  cache("7.3.1-a");
  const std::string entry = dir_ / "kernels/7.3.1-a";
  write_test_file(entry + "/btf", std::string("other types"));
  std::filesystem::last_write_time(entry + "/vmlinuz",
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  ASSERT_TRUE(resolve("7.3").ok());
  EXPECT_FALSE(cache_.find("7.3").value()->checked);
}

TEST_F(KernelResolveTest, TheConfigurationIsBesideTheImageOrInItsTree) {
  EXPECT_EQ(kernel_config_of(dir_ / "none/vmlinuz", "7.2.1"), "");
  write_test_file(dir_ / "7.2.1/config", std::string("a"));
  EXPECT_EQ(kernel_config_of(dir_ / "7.2.1/vmlinuz", "7.2.1"), dir_ / "7.2.1/config");
  write_test_file(dir_ / "boot/config-7.2.1", std::string("a"));
  EXPECT_EQ(kernel_config_of(dir_ / "boot/vmlinuz-7.2.1", "7.2.1"), dir_ / "boot/config-7.2.1");
  EXPECT_EQ(kernel_config_of(dir_ / "boot/vmlinuz-7.2.2", "7.2.2"), "") << "another kernel's";
  write_test_file(dir_ / "tree/.config", std::string("a"));
  EXPECT_EQ(kernel_config_of(dir_ / "tree/arch/x86/boot/bzImage", "7.2.1"), dir_ / "tree/.config");
}

TEST_F(KernelResolveTest, ARangeIsEverySeriesThatIsCachedInIt) {
  for (const char* name : {"6.16.1-x", "6.18.5-x", "7.2.9-x", "7.2.13-x", "7.10.1-x"}) cache(name);
  using Names = std::vector<std::string>;
  auto expand = [&](const Names& wishes) {
    auto names = expand_kernel_ranges(cache_, wishes);
    return names.ok() ? *names : Names{names.error().to_string()};
  };
  EXPECT_EQ(expand({"6.18..7.2"}), (Names{"6.18", "7.2"}));
  EXPECT_EQ(expand({"6.17..7.9"}), (Names{"6.18", "7.2"}));
  EXPECT_EQ(expand({"7.2.."}), (Names{"7.2", "7.10"})) << "by number";
  EXPECT_EQ(expand({"..6.16", "7.2"}), (Names{"6.16", "7.2"}));
  EXPECT_EQ(expand({"/a..b", "7.2.9-x"}), (Names{"/a..b", "7.2.9-x"}));
  EXPECT_THAT(expand({"5.4..5.10"})[0], HasSubstr("no cached kernel is in this range (cached: "));
  for (const char* bad : {"a..b", "6.16...7.3", "6.16..x", "6..7"})
    EXPECT_THAT(expand({bad})[0], HasSubstr("no range of kernel series")) << bad;
}

TEST_F(KernelResolveTest, AnUnknownSeriesListsWhatIsCached) {
  cache("7.2.1-a");
  auto resolved = resolve("6.18");
  ASSERT_FALSE(resolved.ok());
  EXPECT_NE(resolved.error().message().find("7.2.1-a"), std::string::npos);
  EXPECT_NE(resolved.error().hint().find("kernel fetch 6.18"), std::string::npos);
}

TEST_F(KernelResolveTest, ABuiltTreeGivesImageAndDebugInfoOfTheSameBuild) {
  FakeKernel kernel, other;
  other.build_id = "ffff";
  write_test_file(dir_ / "tree/arch/x86/boot/bzImage", fake_vmlinuz(kernel));
  write_test_file(dir_ / "tree/vmlinux", fake_vmlinux(kernel));
  auto resolved = resolve(dir_ / "tree");
  ASSERT_TRUE(resolved.ok()) << resolved.error().to_string();
  EXPECT_EQ(resolved->info.path, std::filesystem::canonical(dir_ / "tree/arch/x86/boot/bzImage").string());
  EXPECT_EQ(resolved->info.debuginfo, std::filesystem::canonical(dir_ / "tree/vmlinux").string());
  write_test_file(dir_ / "tree/vmlinux", fake_vmlinux(other));
  EXPECT_EQ(resolve(dir_ / "tree")->info.debuginfo, "");
}

TEST_F(KernelResolveTest, AnUnbuiltTreeSaysMake) {
  write_test_file(dir_ / "tree/Kconfig", std::string("#"));
  auto resolved = resolve(dir_ / "tree");
  ASSERT_FALSE(resolved.ok());
  EXPECT_NE(resolved.error().hint().find("make bzImage"), std::string::npos);
}

TEST_F(KernelResolveTest, RefusesBeforeBoot) {
  FakeKernel kernel;
  kernel.btf = false;
  write_test_file(dir_ / "vmlinuz", fake_vmlinuz(kernel));
  auto resolved = resolve(dir_ / "vmlinuz");
  ASSERT_FALSE(resolved.ok());
  EXPECT_NE(resolved.error().message().find("CONFIG_DEBUG_INFO_BTF"), std::string::npos);
  write_test_file(dir_ / "vmlinux", fake_vmlinux({}));
  resolved = resolve(dir_ / "vmlinux");
  ASSERT_FALSE(resolved.ok());
  EXPECT_NE(resolved.error().message().find("bare vmlinux"), std::string::npos);
  EXPECT_FALSE(resolve(dir_ / "absent").ok());
}

}  // namespace
}  // namespace ktstr
