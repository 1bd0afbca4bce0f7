#include "base/child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

namespace ktstr {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kLong{20'000};

TEST(Child, AMissingProgramIsAnErrorNotAnExit) {
  auto child = Child::spawn({.argv = {"/no/such/program"}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(child.error().message().find("/no/such/program"), std::string::npos);
}

TEST(Child, ExitCodeAndSignalAreToldApart) {
  auto three = Child::spawn({.argv = {"sh", "-c", "exit 3"}});
  ASSERT_TRUE(three);
  auto exit = three->wait(kLong);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->to_string(), "exit code 3");
  auto killed = Child::spawn({.argv = {"sh", "-c", "kill -9 $$"}});
  ASSERT_TRUE(killed);
  exit = killed->wait(kLong);
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->signal, 9);
}

TEST(Child, TerminateEndsOneThatIgnoresSigterm) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  auto child = Child::spawn(
      {.argv = {"sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"}, .stdout_fd = ends[1]});
  ASSERT_TRUE(child);
  char said[8];
  ASSERT_GT(read(ends[0], said, sizeof said), 0);  // the trap is set
  EXPECT_EQ(child->terminate(milliseconds(100)).signal, SIGKILL);
  EXPECT_FALSE(child->running());
  close(ends[0]);
  close(ends[1]);
}

TEST(Child, KnowsWhileASignalHasStoppedIt) {
  auto child = Child::spawn({.argv = {"sleep", "1000"}});
  ASSERT_TRUE(child);
  EXPECT_FALSE(child->stopped());
  child->signal(SIGSTOP);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child->pid()), &info, WSTOPPED | WNOWAIT), 0);
  EXPECT_TRUE(child->stopped());
  EXPECT_TRUE(child->stopped()) << "asking does not use it up";
  EXPECT_FALSE(child->poll()) << "it has not ended";
  child->signal(SIGCONT);
  EXPECT_FALSE(child->stopped());
  EXPECT_EQ(child->terminate(std::chrono::milliseconds(10'000)).signal, SIGTERM);
  EXPECT_FALSE(child->stopped());
}

TEST(Child, CapturesOutputAndEnvironment) {
  auto run =
      run_captured({.argv = {"sh", "-c", "echo $KTSTR_X; echo err >&2"}, .env = {"KTSTR_X=seen"}}, kLong);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->out, "seen\nerr\n");
  EXPECT_TRUE(run->exit.clean());
}

TEST(Child, ARunOverItsLimitIsATimeout) {
  auto run = run_captured({.argv = {"sleep", "60"}}, milliseconds(50));
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().kind(), ErrorKind::kTimeout);
}

TEST(Child, InheritsOnlyTheFdsItIsGiven) {
  int given = fcntl(0, F_DUPFD, 200), kept_back = fcntl(0, F_DUPFD, 300);  // deliberately without O_CLOEXEC
  ASSERT_GE(given, 200);
  ASSERT_GE(kept_back, 300);
  auto has = [&](int fd) {
    auto run = run_captured(
        {.argv = {"test", "-e", "/proc/self/fd/" + std::to_string(fd)}, .keep_fds = {given}}, kLong);
    return run && run->exit.clean();
  };
  EXPECT_TRUE(has(given));
  EXPECT_FALSE(has(kept_back));
  close(given);
  close(kept_back);
}

TEST(Child, DiesWithItsParent) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  pid_t parent = fork();
  if (parent == 0) {
    auto child = Child::spawn({.argv = {"sleep", "1000"}});
    pid_t pid = child ? child->pid() : -1;
    (void)!write(ends[1], &pid, sizeof pid);
    ::_exit(0);  // without running destructors: as if killed
  }
  pid_t grandchild = -1;
  ASSERT_EQ(read(ends[0], &grandchild, sizeof grandchild), static_cast<ssize_t>(sizeof grandchild));
  ASSERT_GT(grandchild, 0);
  waitpid(parent, nullptr, 0);
  // The kill is delivered as the parent dies; the zombie is init's to reap. Wait for the state to change.
  bool gone = false;
  for (int i = 0; i < 2000 && !gone; ++i) {
    std::string stat = "/proc/" + std::to_string(grandchild) + "/stat";
    int fd = open(stat.c_str(), O_RDONLY);
    char buf[256] = {};
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
    if (fd >= 0) close(fd);
    gone = n <= 0 || std::string(buf).find(") Z ") != std::string::npos;
    if (!gone) usleep(5'000);
  }
  EXPECT_TRUE(gone);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace ktstr
