// The fetch against a hostile archive: a local one, with a key of its own, read by apt itself. What is not signed, or not what
// was signed, never gets into the cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/child.h"
#include "base/sha256.h"
#include "bpf/testing/fake_kernel.h"
#include "launcher/kernel/kernel_fetch.h"
#include "launcher/kernel/private_apt.h"
#include "launcher/kernel/testing/make_deb.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr char kRelease[] = "7.2.9+t-cloud-amd64";

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string sha256_hex(const std::string& path) {
  auto hex = sha256_file(path);
  EXPECT_TRUE(hex.ok()) << path;
  return hex.ok() ? *hex : "";
}

// "Thu, 26 Nov 2026 07:00:00 UTC"
std::string date(time_t at) {
  char text[64];
  tm parts{};
  gmtime_r(&at, &parts);
  strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S UTC", &parts);
  return text;
}

class FetchAttack : public testing::Test {
 protected:
  void SetUp() override {
    if (!run({"gpg", "--version"}) || !run({"apt-get", "--version"}))
      GTEST_SKIP() << "gpg or apt-get is not installed";
    fs::create_directories(dir_ / "keys");
    fs::create_directories(dir_ / "gnupg");
    fs::permissions(dir_ / "gnupg", fs::perms::owner_all);
    for (const char* who : {"archive", "stranger"})
      ASSERT_TRUE(
          gpg({"--quick-generate-key", std::string(who) + "@ktstr.test", "ed25519", "sign", "never"}));
    ASSERT_TRUE(
        gpg({"--output", dir_ / "keys/debian-archive-keyring.gpg", "--export", "archive@ktstr.test"}));
    write_test_file(dir_ / "os-release", std::string("ID=debian\nPRETTY_NAME=\"Debian 12\"\n"));
    host_ = real_fetch_host();
    host_.os_release = dir_ / "os-release";
    host_.keyring_dir = dir_ / "keys";
    // Which sites the host uses is the one answer that is ours; all other commands are apt's own.
    host_.run = [real = host_.run, site = site()](const FetchCommand& command) -> Result<CommandOutput> {
      if (command.argv[1] == "indextargets") return CommandOutput{0, site + "|stable|main|Debian\n"};
      return real(command);
    };
    make_package();
    make_index();
    make_release();
    sign("archive@ktstr.test");
  }
  void TearDown() override { gpgconf_kill(); }

  std::string site() const { return "file:" + (dir_ / "archive"); }
  std::string dist() const { return dir_ / "archive/dists/trixie-backports"; }
  std::string deb() const {
    return dir_ / ("archive/pool/linux-image-" + std::string(kRelease) + "_1_amd64.deb");
  }
  std::string packages() const { return dist() + "/main/binary-amd64/Packages"; }

  static bool run(std::vector<std::string> argv, std::vector<std::string> env = {}) {
    ChildOptions options;
    options.argv = std::move(argv);
    options.env = std::move(env);
    auto ended = run_captured(std::move(options), std::chrono::minutes(2));
    return ended.ok() && ended->exit.signal == 0 && ended->exit.exit_code == 0;
  }
  bool gpg(std::vector<std::string> words) {
    std::vector<std::string> argv{"gpg",   "--homedir", dir_ / "gnupg", "--batch",
                                  "--yes", "--quiet",   "--passphrase", ""};
    argv.insert(argv.end(), words.begin(), words.end());
    return run(std::move(argv));
  }
  void gpgconf_kill() { run({"gpgconf", "--homedir", dir_ / "gnupg", "--kill", "all"}); }

  void make_package() {
    FakeKernel kernel;
    kernel.release = kRelease;
    fs::create_directories(dir_ / "archive/pool");
    write_deb(deb(), {{std::string("./boot/vmlinuz-") + kRelease, fake_vmlinuz(kernel)}});
  }
  void make_index() {
    fs::create_directories(fs::path(packages()).parent_path());
    const std::string bytes = content(deb());
    std::ofstream(packages()) << "Package: linux-image-" << kRelease << "\nVersion: 1\nArchitecture: amd64\n"
                              << "Maintainer: t <t@ktstr.test>\nFilename: pool/"
                              << fs::path(deb()).filename().string() << "\nSize: " << bytes.size()
                              << "\nSHA256: " << sha256_hex(deb()) << "\nDescription: t\n\n";
  }
  void make_release(time_t valid_for = 86400) {
    const std::string index = content(packages());
    const time_t now = time(nullptr);
    std::ofstream(dist() + "/Release")
        << "Origin: Debian\nSuite: trixie-backports\nCodename: trixie-backports\nArchitectures: "
           "amd64\nComponents: main\n"
        << "Date: " << date(now - 7 * 86400) << "\nValid-Until: " << date(now + valid_for) << "\nSHA256:\n "
        << sha256_hex(packages()) << " " << index.size() << " main/binary-amd64/Packages\n";
  }
  void sign(const std::string& who) {
    ASSERT_TRUE(
        gpg({"--local-user", who, "--output", dist() + "/InRelease", "--clearsign", dist() + "/Release"}));
  }

  Result<CachedKernel> fetch() {
    FetchRequest request;
    request.series = "7.2";
    return fetch_kernel(cache_, request, host_);
  }
  // Refused in words, and nothing was kept.
  void expect_refused(const char* words) {
    auto kernel = fetch();
    ASSERT_FALSE(kernel.ok()) << "fetched from a hostile archive";
    EXPECT_THAT(kernel.error().to_string(), HasSubstr(words));
    EXPECT_TRUE(cache_.list()->empty());
  }

  TestDir dir_;
  KernelCache cache_{dir_ / "kernels"};
  FetchHost host_;
};

TEST_F(FetchAttack, TheArchiveAsItIsGivesItsKernel) {
  auto kernel = fetch();
  ASSERT_TRUE(kernel.ok()) << kernel.error().to_string();
  EXPECT_EQ(kernel->release, kRelease);
}

TEST_F(FetchAttack, AChangedPackageIsRefused) {
  std::string bytes = content(deb());
  bytes[bytes.size() / 2] ^= 1;
  write_test_file(deb(), bytes);
  expect_refused("download of linux-image-7.2.9+t-cloud-amd64");
}

TEST_F(FetchAttack, AnotherPackageOfTheSameNameIsRefused) {
  FakeKernel kernel;
  kernel.release = kRelease;
  kernel.build_id = "ffffffffffffffffffffffffffffffffffffffff";
  write_deb(deb(), {{std::string("./boot/vmlinuz-") + kRelease, fake_vmlinuz(kernel)}});
  expect_refused("download of linux-image-7.2.9+t-cloud-amd64");
}

TEST_F(FetchAttack, AChangedIndexIsRefused) {
  std::ofstream(packages(), std::ios::app)
      << "Package: linux-image-7.2.99+t-cloud-amd64\nVersion: 1\nArchitecture: amd64\n"
         "Filename: pool/x.deb\nSize: 1\nSHA256: 00\n\n";
  expect_refused("apt-get update");
}

TEST_F(FetchAttack, AnExpiredReleaseIsRefused) {
  make_release(-86400);
  sign("archive@ktstr.test");
  expect_refused("expired");
}

TEST_F(FetchAttack, AReleaseOfAnotherKeyIsRefused) {
  sign("stranger@ktstr.test");
  expect_refused("not signed");
}

TEST_F(FetchAttack, AReleaseThatWasChangedAfterItsSignatureIsRefused) {
  std::string signed_text = content(dist() + "/InRelease");
  const size_t at = signed_text.find("Components: main");
  ASSERT_NE(at, std::string::npos);
  signed_text.replace(at, 10, "components");
  write_test_file(dist() + "/InRelease", signed_text);
  expect_refused("apt-get update");
}

TEST_F(FetchAttack, AnUnsignedReleaseIsRefused) {
  fs::remove(dist() + "/InRelease");
  expect_refused("not signed");
}

}  // namespace
}  // namespace ktstr
