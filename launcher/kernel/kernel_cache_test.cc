#include "launcher/kernel/kernel_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include "bpf/testing/fake_kernel.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

TEST(KernelRelease, SeriesAndOrder) {
  EXPECT_EQ(series_of_release("7.2.13+deb14-cloud-amd64"), "7.2");
  EXPECT_EQ(series_of_release("6.18.0-rc3"), "6.18");
  EXPECT_EQ(series_of_release("cloud-amd64"), "");
  EXPECT_EQ(series_of_release("unsigned-7.2.6"), "");
  EXPECT_TRUE(release_less("7.9.3-x", "7.10.1-a"));
  EXPECT_TRUE(release_less("6.18.15+deb13", "7.0.1"));
  EXPECT_FALSE(release_less("7.2.13", "7.2.9"));
  EXPECT_FALSE(release_less("7.2.13", "7.2.13"));
}

TEST(KernelCacheDir, FollowsXdg) {
  auto env = [](const char* xdg, const char* home) {
    return KernelCache::default_dir(
        [=](const char* name) { return std::string(name) == "HOME" ? home : xdg; });
  };
  EXPECT_EQ(env("/x", "/home/u").value(), "/x/ktstr/kernels");
  EXPECT_EQ(env("", "/home/u").value(), "/home/u/.cache/ktstr/kernels");
  EXPECT_EQ(env("relative", "/home/u").value(), "/home/u/.cache/ktstr/kernels");
  EXPECT_FALSE(env(nullptr, nullptr).ok());
}

class KernelCacheTest : public testing::Test {
 protected:
  Result<CachedKernel> install(const FakeKernel& kernel) {
    auto lock = cache_.lock({});
    if (!lock) return std::move(lock).error();
    auto staging = cache_.make_staging();
    if (!staging) return std::move(staging).error();
    write_test_file(*staging + "/vmlinuz", fake_vmlinuz(kernel));
    return cache_.install(*staging, "package 1");
  }
  static FakeKernel release(const std::string& name) {
    FakeKernel kernel;
    kernel.release = name;
    return kernel;
  }

  TestDir dir_;
  KernelCache cache_{dir_ / "kernels"};
};

TEST_F(KernelCacheTest, OneWithDamagedKfuncsIsMarkedAndGoesLastInItsSeries) {
  for (const char* name : {"7.1.3-x", "7.2.12-x", "7.2.11-x"}) {
    FakeKernel kernel = release(name);
    kernel.damaged_kfuncs = std::string_view(name) == "7.2.12-x";
    ASSERT_TRUE(install(kernel).ok());
  }
  EXPECT_EQ(cache_.find("7.2.12-x").value()->damaged_kfuncs, std::vector<std::string>{"scx_bpf_kick_cpu"});
  EXPECT_EQ(cache_.find("7.2").value()->release, "7.2.11-x");
  EXPECT_EQ(cache_.find("").value()->release, "7.2.11-x");
  // An entry of a version that did not look: its BTF tells.
  fs::path metadata = dir_ / "kernels/7.2.12-x/kernel.json";
  write_test_file(metadata, std::string("{\"release\": \"7.2.12-x\"}"));
  EXPECT_EQ(cache_.find("7.2.12-x").value()->damaged_kfuncs.size(), 1u);
  // Never one of an older series.
  fs::remove_all(dir_ / "kernels/7.2.11-x");
  EXPECT_EQ(cache_.find("").value()->release, "7.2.12-x");
}

TEST_F(KernelCacheTest, AMissingDirectoryIsAnEmptyCache) {
  EXPECT_TRUE(cache_.list()->empty());
  EXPECT_FALSE(cache_.find("")->has_value());
}

TEST_F(KernelCacheTest, ListsNewestFirstAndFinds) {
  for (const char* name : {"7.9.2-a", "7.10.1-a", "6.18.3-a", "7.9.10-a"})
    ASSERT_TRUE(install(release(name)).ok());
  auto kernels = cache_.list();
  ASSERT_EQ(kernels->size(), 4u);
  EXPECT_EQ((*kernels)[0].release, "7.10.1-a");
  EXPECT_EQ((*kernels)[1].release, "7.9.10-a");
  EXPECT_EQ(cache_.find("")->value().release, "7.10.1-a");
  EXPECT_EQ(cache_.find("7.9")->value().release, "7.9.10-a");
  EXPECT_EQ(cache_.find("7.9.2-a")->value().release, "7.9.2-a");
  EXPECT_FALSE(cache_.find("7.1")->has_value());
  EXPECT_FALSE(cache_.find("7")->has_value());
}

TEST_F(KernelCacheTest, RefusesAnUnusableKernelAndLeavesNothing) {
  FakeKernel kernel;
  kernel.sched_ext = false;
  auto installed = install(kernel);
  ASSERT_FALSE(installed.ok());
  EXPECT_EQ(installed.error().kind(), ErrorKind::kUnsupported);
  EXPECT_TRUE(cache_.list()->empty());
  ASSERT_TRUE(cache_.lock({}).ok());  // clears what was left
  for (const auto& entry : fs::directory_iterator(cache_.dir())) EXPECT_EQ(entry.path().filename(), ".lock");
}

TEST_F(KernelCacheTest, ReplacingKeepsTheDebugInfoOfTheSameBuild) {
  auto first = install(release("7.2.1-a"));
  ASSERT_TRUE(first.ok());
  write_test_file(dir_ / "vmlinux", std::string("dwarf"));
  auto with_debuginfo = cache_.install_debuginfo("7.2.1-a", dir_ / "vmlinux");
  ASSERT_TRUE(with_debuginfo.ok());
  EXPECT_EQ(with_debuginfo->debuginfo, first->dir + "/vmlinux");
  EXPECT_EQ(install(release("7.2.1-a"))->debuginfo, first->dir + "/vmlinux");
  FakeKernel other = release("7.2.1-a");
  other.build_id = "ffff";
  EXPECT_EQ(install(other)->debuginfo, "");
}

TEST_F(KernelCacheTest, BrokenEntriesAreLeftOut) {
  ASSERT_TRUE(install(release("7.2.1-a")).ok());
  ASSERT_TRUE(install(release("7.3.1-a")).ok());
  write_test_file(cache_.dir() + "/7.3.1-a/kernel.json", std::string("{\"release\": 3"));
  ASSERT_EQ(cache_.list()->size(), 1u);
  EXPECT_EQ(cache_.list()->front().release, "7.2.1-a");
}

TEST_F(KernelCacheTest, CleaningKeepsTheNewestOfEachSeries) {
  for (const char* name : {"6.18.1-x", "7.2.9-x", "7.2.13-x", "7.2.2-x"})
    ASSERT_TRUE(install(release(name)).ok());
  auto lock = cache_.lock({});
  auto removed = cache_.remove_all_but(1);
  ASSERT_TRUE(removed.ok());
  EXPECT_EQ(removed->size(), 2u);
  const auto left = cache_.list();
  ASSERT_EQ(left->size(), 2u);
  EXPECT_EQ((*left)[0].release, "7.2.13-x");
  EXPECT_EQ((*left)[1].release, "6.18.1-x");
  EXPECT_TRUE(cache_.remove_all_but(0).ok());
  EXPECT_TRUE(cache_.list()->empty());
  for (const auto& entry : fs::directory_iterator(cache_.dir()))
    EXPECT_FALSE(entry.is_directory()) << entry.path() << " was left";
}

TEST_F(KernelCacheTest, ASecondFetchWaits) {
  // flock belongs to the open file, so two threads can play two processes.
  auto lock = std::make_unique<Result<KernelCache::Lock>>(cache_.lock({}));
  ASSERT_TRUE(lock->ok());
  std::promise<void> waits;
  std::atomic<bool> has_it = false;
  std::thread other([&] {
    auto second = cache_.lock([&] { waits.set_value(); });
    has_it = second.ok();
  });
  waits.get_future().wait();
  EXPECT_FALSE(has_it);
  lock.reset();
  other.join();
  EXPECT_TRUE(has_it);
}

}  // namespace
}  // namespace ktstr
