#include "launcher/vm/qemu_user.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/small_files.h"

namespace ktstr {
namespace {

// A folder that only root can enter, as that of a run.
class QemuUser : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can start a process as another user";
    char name[] = "/tmp/ktstr-user-XXXXXX";
    folder_ = ::mkdtemp(name);
    for (const char* file : {"kernel", "initrd", "console"}) write(file);
    options_.qemu = "/bin/sh";
    options_.kernel = folder_ + "/kernel";
    options_.initrd = folder_ + "/initrd";
    options_.deterministic.emplace();
    options_.deterministic->console_file = folder_ + "/console";
    user_ = qemu_user(options_);
    if (!user_) GTEST_SKIP() << "this root may not become another user";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name) {
    ASSERT_TRUE(write_file_atomically(folder_ + "/" + name, "the " + name, {.sync = false}));
    ::chmod((folder_ + "/" + name).c_str(), 0600);
  }
  // What that user's shell says.
  std::string run(const std::string& script, const std::vector<int>& fds) {
    ChildOptions options;
    options.argv = {"/bin/sh", "-c", script};
    options.user = user_;
    options.keep_fds = fds;
    auto ran = run_captured(options, std::chrono::seconds(20));
    return ran ? ran->out : ran.error().to_string();
  }

  std::string folder_;
  QemuOptions options_;
  std::optional<ChildUser> user_;
};

TEST_F(QemuUser, IsANumberWithoutRightsAndEachVmHasItsOwn) {
  EXPECT_GE(user_->uid, 61184u);
  EXPECT_EQ(run("id -u; id -G", {}), std::to_string(user_->uid) + "\n" + std::to_string(user_->gid) + "\n");
  EXPECT_EQ(run("cat " + folder_ + "/kernel 2>/dev/null || echo no", {}), "no\n");
  EXPECT_NE(qemu_user(options_)->uid, user_->uid);
}

TEST_F(QemuUser, ReadsAndWritesWhatItWasLentAndNothingElse) {
  LentFiles lent(*user_);
  QemuOptions for_qemu = options_;
  ASSERT_TRUE(lent.lend(for_qemu));
  EXPECT_EQ(run("cat " + for_qemu.kernel + "; echo; cat " + for_qemu.initrd, lent.fds()),
            "the kernel\nthe initrd");
  const std::string& console = for_qemu.deterministic->console_file;
  run("echo said > " + console, lent.fds());
  EXPECT_NE(run("echo no > " + for_qemu.initrd, lent.fds()).find("Permission denied"), std::string::npos);
  EXPECT_EQ(read_text_or(folder_ + "/console", ""), "said");
  EXPECT_EQ(read_text_or(folder_ + "/initrd", ""), "the initrd");
}

TEST_F(QemuUser, AnImageOfEverybodysCacheStaysAsItIs) {
  LentFiles lent(*user_);
  QemuOptions for_qemu = options_;
  ASSERT_TRUE(lent.lend(for_qemu));
  struct stat st{};
  ASSERT_EQ(::stat(options_.kernel.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_EQ(st.st_uid, 0u);
  EXPECT_EQ(st.st_gid, 0u);
}

TEST_F(QemuUser, IsNotTakenWhenTheUserAddsWordsOrItsProgramIsOutOfReach) {
  QemuOptions own = options_;
  own.qemu_args = {"-drive", "file=/root/disk"};
  EXPECT_FALSE(qemu_user(own)) << "the disk is root's";
  write("qemu");
  ::chmod((folder_ + "/qemu").c_str(), 0755);
  own = options_;
  own.qemu = folder_ + "/qemu";
  EXPECT_FALSE(qemu_user(own)) << "nobody else can enter its folder";
}

}  // namespace
}  // namespace ktstr
