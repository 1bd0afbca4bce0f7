// The fetch against a scripted apt: its packages are .debs made on the spot. The real archive is met by
// `ktstr-launch kernel fetch` itself.

#include "launcher/kernel/kernel_fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "bpf/testing/fake_kernel.h"
#include "launcher/kernel/private_apt.h"
#include "launcher/kernel/testing/make_deb.h"

namespace ktstr {
namespace {

using testing::HasSubstr;

class KernelFetchTest : public testing::Test {
 protected:
  void SetUp() override {
    write_test_file(dir_ / "os-release", std::string("ID=debian\nPRETTY_NAME=\"Debian 12\"\n"));
    write_test_file(dir_ / "keys/debian-archive-keyring.gpg", std::string("key"));
    host_.os_release = dir_ / "os-release";
    host_.keyring_dir = dir_ / "keys";
    host_.run = [this](const FetchCommand& command) { return run(command); };
    offer("linux-image-6.18.5+t-cloud-amd64", "6.18.5+t-cloud-amd64", "./boot/vmlinuz-");
    offer("linux-binary-7.2.9+t-cloud-amd64", "7.2.9+t-cloud-amd64", "");
    offer("linux-binary-7.10.1+t-cloud-amd64", "7.10.1+t-cloud-amd64", "");
    for (const char* name :
         {"linux-image-7.2.9+t-cloud-amd64", "linux-image-7.10.1+t-cloud-amd64", "linux-image-cloud-amd64",
          "linux-binary-unsigned-7.10.1+t-cloud-amd64", "linux-image-7.11.1+t-amd64"}) {
      packages_[name] = {};
    }
    packages_["linux-base-7.10.1+t-cloud-amd64"] = {
        {"./usr/lib/modules/7.10.1+t-cloud-amd64/config", {'C', '=', 'y', '\n'}}};
    packages_["linux-image-7.2.9+t-cloud-amd64-dbg"] = {
        {"./usr/lib/debug/boot/vmlinux-7.2.9+t-cloud-amd64", {'d', 'w', 'a', 'r', 'f'}}};
  }

  void offer(const std::string& package, const std::string& release, const std::string& where,
             bool damaged = false) {
    FakeKernel kernel;
    kernel.release = release;
    kernel.damaged_kfuncs = damaged;
    std::string path = where.empty() ? "./usr/lib/modules/" + release + "/vmlinuz" : where + release;
    packages_[package] = {{path, fake_vmlinuz(kernel)}};
  }

  Result<CommandOutput> run(const FetchCommand& command) {
    const auto& argv = command.argv;
    ran_.push_back(argv[0] + " " + argv[1]);
    CommandOutput output;
    if (argv[1] == "indextargets") output.out = sites_;
    if (argv[1] == "-q" && argv[2] == "update") {
      ran_.back() = "update";
      output.exit_code = network_ ? 0 : 100;
      if (!network_) output.out = "Err:1 x InRelease\nE: Failed to fetch x  Could not resolve 'x'\n";
    }
    if (argv[1] == "pkgnames") {
      for (const auto& [name, files] : packages_) output.out += name + "\n";
    }
    if (argv[1] == "-q" && argv[2] == "download") {
      ran_.back() = "download " + argv[3];
      if (packages_.count(argv[3]) == 0)
        return CommandOutput{100, "E: Unable to locate package " + argv[3] + "\n"};
      write_deb(command.cwd + "/" + argv[3] + "_1_amd64.deb", packages_.at(argv[3]));
    }
    return output;
  }

  Result<CachedKernel> fetch(const std::string& series, bool debuginfo = false) {
    FetchRequest request;
    request.series = series;
    request.debuginfo = debuginfo;
    return fetch_kernel(cache_, request, host_);
  }

  TestDir dir_;
  KernelCache cache_{dir_ / "kernels"};
  FetchHost host_;
  std::map<std::string, Files> packages_;
  std::vector<std::string> ran_;
  std::string sites_ =
      "https://archive.test/debian|bookworm|main|Debian\nhttps://archive.test/"
      "debian-security|bookworm-security|main|Debian\n";
  bool network_ = true;
};

TEST_F(KernelFetchTest, NewestByNumberWithItsConfig) {
  auto kernel = fetch("");
  ASSERT_TRUE(kernel.ok()) << kernel.error().to_string();
  EXPECT_EQ(kernel->release, "7.10.1+t-cloud-amd64");
  EXPECT_TRUE(std::filesystem::exists(kernel->dir + "/config"));
  EXPECT_TRUE(std::filesystem::exists(kernel->btf));
}

TEST_F(KernelFetchTest, BothPackageLayouts) {
  auto old_layout = fetch("6.18");
  ASSERT_TRUE(old_layout.ok()) << old_layout.error().to_string();
  EXPECT_EQ(old_layout->release, "6.18.5+t-cloud-amd64");
  EXPECT_EQ(ran_.back(), "download linux-image-6.18.5+t-cloud-amd64");
  auto new_layout = fetch("7.2");
  ASSERT_TRUE(new_layout.ok()) << new_layout.error().to_string();
  EXPECT_FALSE(std::filesystem::exists(new_layout->dir + "/config"))
      << "its package is not there; that is no reason to fail";
}

TEST_F(KernelFetchTest, ACachedSeriesNeedsNoNetwork) {
  ASSERT_TRUE(fetch("6.18").ok());
  ran_.clear();
  network_ = false;
  EXPECT_TRUE(fetch("6.18").ok());
  EXPECT_TRUE(ran_.empty());
}

TEST_F(KernelFetchTest, ASoundKernelOfTheSeriesIsPreferredToADamagedNewerOne) {
  offer("linux-binary-7.2.12+t-cloud-amd64", "7.2.12+t-cloud-amd64", "", true);
  packages_["linux-image-7.2.12+t-cloud-amd64"] = {};
  auto kernel = fetch("7.2");
  ASSERT_TRUE(kernel.ok()) << kernel.error().to_string();
  EXPECT_EQ(kernel->release, "7.2.9+t-cloud-amd64");
  // Asked for by name, or without another, it is what there is.
  kernel = fetch("7.2.12+t-cloud-amd64");
  ASSERT_TRUE(kernel.ok());
  EXPECT_EQ(kernel->damaged_kfuncs, std::vector<std::string>{"scx_bpf_kick_cpu"});
  offer("linux-image-6.18.5+t-cloud-amd64", "6.18.5+t-cloud-amd64", "./boot/vmlinuz-", true);
  kernel = fetch("6.18");
  ASSERT_TRUE(kernel.ok());
  EXPECT_EQ(kernel->release, "6.18.5+t-cloud-amd64");
}

TEST_F(KernelFetchTest, UnknownSeriesListsThoseAvailable) {
  auto kernel = fetch("5.4");
  ASSERT_FALSE(kernel.ok());
  EXPECT_EQ(kernel.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(kernel.error().hint(), HasSubstr("7.10, 7.2, 6.18"));
}

TEST_F(KernelFetchTest, DebugInfoComesBesideTheImage) {
  packages_["linux-base-7.2.9+t-cloud-amd64"] = {};
  auto kernel = fetch("7.2", true);
  ASSERT_TRUE(kernel.ok()) << kernel.error().to_string();
  EXPECT_EQ(kernel->debuginfo, kernel->dir + "/vmlinux");
  auto none = fetch("6.18", true);
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().hint(), HasSubstr("7.2.9+t-cloud-amd64"));
}

TEST_F(KernelFetchTest, NoNetworkIsSaidWithAptsOwnWords) {
  network_ = false;
  auto kernel = fetch("");
  ASSERT_FALSE(kernel.ok());
  EXPECT_EQ(kernel.error().kind(), ErrorKind::kSystem);
  EXPECT_THAT(kernel.error().message(), HasSubstr("Could not resolve"));
  EXPECT_TRUE(cache_.list()->empty());
}

TEST_F(KernelFetchTest, AHostThatIsNotDebianIsPointedElsewhere) {
  write_test_file(dir_ / "os-release", std::string("ID=fedora\nPRETTY_NAME=\"Fedora 44\"\n"));
  auto kernel = fetch("");
  ASSERT_FALSE(kernel.ok());
  EXPECT_EQ(kernel.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(kernel.error().message(), HasSubstr("Fedora 44"));
  EXPECT_THAT(kernel.error().hint(), HasSubstr("--kernel"));
}

TEST_F(KernelFetchTest, NoKeyringNoFetch) {
  std::filesystem::remove(dir_ / "keys/debian-archive-keyring.gpg");
  auto kernel = fetch("");
  ASSERT_FALSE(kernel.ok());
  EXPECT_THAT(kernel.error().hint(), HasSubstr("debian-archive-keyring"));
}

TEST(KernelOffers, PassesOverWhatIsNoImage) {
  auto offers = parse_kernel_offers(
      "linux-image-cloud-amd64\nlinux-binary-unsigned-7.2.1+x-cloud-amd64\nW: "
      "noise\nlinux-image-7.2.1+x-cloud-amd64-dbg\n"
      "linux-image-7.2.1+x-cloud-amd64\nlinux-binary-7.2.1+x-cloud-amd64\nlinux-image-6.16.1+x-cloud-"
      "amd64\n");
  ASSERT_EQ(offers.size(), 2u);
  EXPECT_EQ(offers.begin()->second.image_package, "linux-image-6.16.1+x-cloud-amd64");
  EXPECT_EQ(offers.begin()->second.config_package, "linux-image-6.16.1+x-cloud-amd64");
  EXPECT_EQ(offers.rbegin()->second.image_package, "linux-binary-7.2.1+x-cloud-amd64");
  EXPECT_EQ(offers.rbegin()->second.config_package, "linux-base-7.2.1+x-cloud-amd64");
  EXPECT_TRUE(offers.rbegin()->second.debuginfo);
}

}  // namespace
}  // namespace ktstr
