// With the shell in QEMU's place: what matters is how a child lives and ends.

#include "launcher/vm/qemu_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

namespace ktstr {
namespace {

std::unique_ptr<QemuProcess> sh(const std::string& script, const std::vector<int>& inherit = {}) {
  auto process = QemuProcess::start({"/bin/sh", "-c", script}, inherit);
  EXPECT_TRUE(process.ok());
  return process.ok() ? std::move(*process) : nullptr;
}

TEST(QemuProcess, ExitCodeAndLastWords) {
  auto process = sh("echo one; echo two >&2; exit 3");
  auto exit = process->wait_exit(20000);
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->exit_code, 3);
  EXPECT_EQ(exit->signal, 0);
  EXPECT_EQ(process->output_tail(), (std::vector<std::string>{"one", "two"}));
  EXPECT_TRUE(process->try_reap().has_value()) << "asking again is fine";
}

TEST(QemuProcess, AMissingProgramIsToldApart) {
  auto process = QemuProcess::start({"/no/such/qemu"}, {});
  ASSERT_FALSE(process.ok());
  EXPECT_EQ(process.error().kind(), ErrorKind::kNotFound);
  EXPECT_FALSE(process.error().hint().empty());
}

TEST(QemuProcess, KillEndsIt) {
  auto process = sh("trap '' TERM INT; while :; do sleep 10; done");
  EXPECT_FALSE(process->try_reap().has_value());
  auto exit = process->kill_and_reap();
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_EQ(process->kill_and_reap().signal, SIGKILL);
}

TEST(QemuProcess, PidfdSaysWhenItEnds) {
  auto process = sh("exit 0");
  pollfd p{process->pidfd(), POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, 20000), 1);
  EXPECT_TRUE(process->try_reap().has_value());
}

TEST(QemuProcess, AFloodIsCutToATail) {
  auto process = sh("i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done");
  pollfd p[2] = {{process->pidfd(), POLLIN, 0}, {process->output_fd(), POLLIN, 0}};
  while (!process->try_reap()) {
    process->drain_output();
    p[1].fd = process->output_fd();
    ASSERT_GT(poll(p, 2, 20000), 0);
  }
  auto tail = process->output_tail();
  EXPECT_EQ(tail.size(), 40u);
  EXPECT_EQ(tail.back(), "line 29999");
}

TEST(QemuProcess, InheritsTheRamFileUnderItsNumber) {
  int fd = memfd_create("test", MFD_CLOEXEC);
  ASSERT_GE(fd, 0);
  auto process = sh("echo hello > /proc/self/fd/" + std::to_string(fd), {fd});
  ASSERT_EQ(process->wait_exit(20000)->exit_code, 0);
  char text[6] = {};
  EXPECT_EQ(pread(fd, text, 5, 0), 5);
  EXPECT_STREQ(text, "hello");
  close(fd);
}

TEST(QemuProcess, HasASessionOfItsOwn) {
  auto process = sh("while :; do sleep 10; done");
  EXPECT_EQ(getsid(process->pid()), process->pid());
}

TEST(QemuProcess, DiesWithTheLauncher) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  pid_t launcher = fork();
  if (launcher == 0) {
    // The child holds the pipe's write end open as long as it lives.
    auto process = QemuProcess::start({"/bin/sh", "-c", "while :; do sleep 1; done"}, {ends[1]});
    if (!process) _exit(1);
    raise(SIGKILL);
  }
  close(ends[1]);
  int status = 0;
  ASSERT_EQ(waitpid(launcher, &status, 0), launcher);
  ASSERT_TRUE(WIFSIGNALED(status));
  pollfd p{ends[0], POLLIN, 0};
  ASSERT_EQ(poll(&p, 1, 20000), 1) << "the child outlived its launcher";
  EXPECT_TRUE(p.revents & POLLHUP);
  close(ends[0]);
}

}  // namespace
}  // namespace ktstr
