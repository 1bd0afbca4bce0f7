#include "runtime/confine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

namespace ktstr {
namespace {

// In a child that is confined: the condition holds. 77: this kernel cannot confine so.
int confined(const Confinement& wanted, const std::function<bool()>& holds) {
  const pid_t child = ::fork();
  if (child == 0) {
    const Status status = confine(wanted);
    if (!status && status.error().kind() == ErrorKind::kUnsupported) ::_exit(77);
    ::_exit(status.ok() && holds() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define EXPECT_CONFINED(code)                                         \
  do {                                                                \
    const int exit_code = code;                                       \
    if (exit_code == 77) GTEST_SKIP() << "not on this host's kernel"; \
    EXPECT_EQ(exit_code, 0);                                          \
  } while (false)

TEST(Confine, NoProgramIsStarted) {
  EXPECT_CONFINED(confined({}, [] {
    ::execl("/bin/true", "true", nullptr);
    return errno == EPERM;
  }));
}

TEST(Confine, NoProcessIsMadeButThreadsAre) {
  EXPECT_CONFINED(confined({}, [] {
    int done = 0;
    std::thread([&] { done = 1; }).join();
    return ::fork() == -1 && errno == EPERM && done == 1;
  }));
}

TEST(Confine, WhoMayForkStillStartsNoProgram) {
  EXPECT_CONFINED(confined({.may_fork = true}, [] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::execl("/bin/true", "true", nullptr);
      ::_exit(errno == EPERM ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    return status == 0;
  }));
}

TEST(Confine, LocalSocketsOnly) {
  EXPECT_CONFINED(confined({}, [] {
    return ::socket(AF_UNIX, SOCK_STREAM, 0) >= 0 && ::socket(AF_INET, SOCK_STREAM, 0) == -1 &&
           errno == EACCES && ::socket(AF_NETLINK, SOCK_RAW, 0) == -1;
  }));
}

TEST(Confine, NoOtherProcessIsTraced) {
  EXPECT_CONFINED(confined(
      {}, [] { return ::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr) == -1 && errno == EPERM; }));
}

TEST(Confine, FilesOutsideTheFenceAreOutOfReach) {
  char name[] = "/tmp/ktstr-confine-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  const std::string folder = name, inside = folder + "/in", outside = folder + "/out";
  ::mkdir(inside.c_str(), 0700);
  ::mkdir(outside.c_str(), 0700);
  std::ofstream(outside + "/secret") << "s";
  std::ofstream(inside + "/log") << "l";
  const int got = confined({.writable = {inside}}, [&] {
    const bool can = ::open((inside + "/log").c_str(), O_RDONLY) >= 0 &&
                     ::open((inside + "/new").c_str(), O_WRONLY | O_CREAT, 0600) >= 0;
    const bool cannot = ::open((outside + "/secret").c_str(), O_RDONLY) == -1 && errno == EACCES &&
                        ::open((outside + "/new").c_str(), O_WRONLY | O_CREAT, 0600) == -1 &&
                        errno == EACCES && ::open((inside + "/../out/secret").c_str(), O_RDONLY) == -1;
    return can && cannot;
  });
  for (const char* file : {"/in/log", "/in/new", "/out/secret"}) ::unlink((folder + file).c_str());
  for (const std::string& dir : {inside, outside, folder}) ::rmdir(dir.c_str());
  EXPECT_CONFINED(got);
}

}  // namespace
}  // namespace ktstr
