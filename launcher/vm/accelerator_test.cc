// With scripts in QEMU's place, and a plain file as the KVM device.

#include "launcher/vm/accelerator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace ktstr {
namespace {

using testing::HasSubstr;

class AcceleratorTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ktstr-test-XXXXXX").string();
    dir_ = mkdtemp(pattern.data());
    request_.qemu = dir_ + "/qemu";
    request_.kernel = "/k";
    request_.kernel_id = "id";
    request_.cache_dir = dir_ + "/cache";
    request_.kvm_device = dir_ + "/kvm";
    request_.timeout_ms = 20000;
    std::ofstream(request_.kvm_device) << "";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // `script` runs when a guest is to be started; each start leaves a line in `starts`.
  void qemu(const std::string& script) {
    std::ofstream(request_.qemu)
        << "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'QEMU emulator version 7.2.0 (x)'; exit; fi\n"
        << "echo x >> " << dir_ << "/starts\n"
        << script << "\n";
    chmod(request_.qemu.c_str(), 0755);
  }
  int starts() {
    std::ifstream in(dir_ + "/starts");
    int n = 0;
    for (std::string line; std::getline(in, line);) ++n;
    return n;
  }

  std::string dir_;
  AcceleratorRequest request_;
};

TEST_F(AcceleratorTest, AGuestThatSpeaksMeansKvm) {
  qemu("echo '[    0.000000] Linux version 7.2.0'; while :; do sleep 1; done");
  auto chosen = choose_accelerator(request_);
  ASSERT_TRUE(chosen.ok()) << chosen.error().to_string();
  EXPECT_EQ(chosen->name, "kvm");
}

TEST_F(AcceleratorTest, AnInternalErrorEndsTheTrialAtOnce) {
  qemu("echo 'KVM internal error. Suberror: 1' >&2; while :; do sleep 1; done");
  auto chosen = choose_accelerator(request_);
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->name, "tcg");
  EXPECT_THAT(chosen->reason, HasSubstr("opens but a guest does not run (KVM internal error)"));
}

TEST_F(AcceleratorTest, SilenceMeansTcg) {
  qemu("while :; do sleep 1; done");
  request_.timeout_ms = 300;
  auto chosen = choose_accelerator(request_);
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->name, "tcg");
  EXPECT_THAT(chosen->reason, HasSubstr("no output"));
}

TEST_F(AcceleratorTest, AQemuThatEndsGivesItsLastWords) {
  qemu("echo 'qemu-system-x86_64: Assertion failed' >&2; exit 1");
  EXPECT_THAT(choose_accelerator(request_)->reason, HasSubstr("(QEMU ended: Assertion failed)"));
}

TEST_F(AcceleratorTest, TheVerdictIsRememberedPerKernelAndCanBeForgotten) {
  qemu("echo 'KVM internal error' >&2; exit 1");
  ASSERT_TRUE(choose_accelerator(request_).ok());
  auto again = choose_accelerator(request_);
  EXPECT_EQ(starts(), 1);
  EXPECT_THAT(again->reason, HasSubstr("tried earlier since this host booted"));
  request_.kernel_id = "other";
  ASSERT_TRUE(choose_accelerator(request_).ok());
  EXPECT_EQ(starts(), 2);
  request_.forget = true;
  ASSERT_TRUE(choose_accelerator(request_).ok());
  EXPECT_EQ(starts(), 3);
}

TEST_F(AcceleratorTest, ADamagedOrOldMemoryIsNoMemory) {
  qemu("echo 'KVM internal error' >&2; exit 1");
  std::filesystem::create_directories(request_.cache_dir);
  int expected = 0;
  for (const char* text :
       {"{", "[]",
        R"({"boot_id": "another", "verdicts": {"7.2.0 (x) | id": {"runs": true, "reason": ""}}})"}) {
    std::ofstream(request_.cache_dir + "/accelerator.json") << text;
    EXPECT_EQ(choose_accelerator(request_)->name, "tcg");
    EXPECT_EQ(starts(), ++expected);
  }
}

TEST_F(AcceleratorTest, WithoutTheDeviceNothingIsStarted) {
  qemu("exit 1");
  request_.kvm_device = dir_ + "/absent";
  EXPECT_THAT(choose_accelerator(request_)->reason, HasSubstr("is not there"));
  EXPECT_EQ(starts(), 0);
  request_.wish = AcceleratorWish::kKvm;
  auto refused = choose_accelerator(request_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
}

TEST_F(AcceleratorTest, TcgOnRequestTriesNothing) {
  qemu("exit 1");
  request_.wish = AcceleratorWish::kTcg;
  EXPECT_EQ(choose_accelerator(request_)->name, "tcg");
  EXPECT_EQ(starts(), 0);
}

TEST_F(AcceleratorTest, FindsQemu) {
  qemu("");
  std::filesystem::copy_file(request_.qemu, dir_ + "/qemu-system-x86_64");
  EXPECT_EQ(find_qemu("", "/nowhere:" + dir_).value(), dir_ + "/qemu-system-x86_64");
  EXPECT_FALSE(find_qemu("", "/nowhere").ok());
  EXPECT_FALSE(find_qemu(dir_ + "/absent", dir_).ok());
  EXPECT_EQ(qemu_version(request_.qemu).value(), "7.2.0 (x)");
  EXPECT_EQ(qemu_version_numbers("10.1.3 (Debian)"), std::pair(10, 1));
  EXPECT_EQ(qemu_version_numbers("x"), std::pair(0, 0));
}

TEST(ParseAccelerator, KnowsThree) {
  EXPECT_EQ(parse_accelerator("auto").value(), AcceleratorWish::kAuto);
  EXPECT_EQ(parse_accelerator("kvm").value(), AcceleratorWish::kKvm);
  EXPECT_EQ(parse_accelerator("tcg").value(), AcceleratorWish::kTcg);
  EXPECT_FALSE(parse_accelerator("xen").ok());
}

}  // namespace
}  // namespace ktstr
