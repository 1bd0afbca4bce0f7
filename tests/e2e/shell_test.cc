// ktstr-launch shell on real VMs: commands without a terminal, and a terminal as a user has it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>

#include "base/unique_fd.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

using std::chrono::milliseconds;

std::string spec() {
  return spec_text({.scheduler = "scx_demo", .args = "\"--fail-after\", \"1000000000\"", .duration_s = 5});
}

// A user at a terminal, who started ktstr-launch there.
class User {
 public:
  User(const Scratch& scratch, std::vector<std::string> args) {
    std::vector<std::string> argv = launch_argv(std::move(args));
    std::vector<char*> raw;
    for (std::string& word : argv) raw.push_back(word.data());
    raw.push_back(nullptr);
    winsize size{};
    size.ws_row = 31;
    size.ws_col = 91;
    const std::string folder = scratch.path();
    int master = -1;
    pid_ = ::forkpty(&master, nullptr, nullptr, &size);
    if (pid_ == 0) {
      if (::chdir(folder.c_str()) == 0) ::execv(raw[0], raw.data());
      ::_exit(127);
    }
    master_ = UniqueFd(master);
    before_ = settings();
  }
  ~User() {
    if (!over_) ::kill(pid_, SIGKILL);
    finish();
  }

  void type(const std::string& keys) { (void)!::write(master_.get(), keys.data(), keys.size()); }
  // Waits until the screen shows this, after what was waited for before.
  bool sees(const std::string& text, milliseconds limit = milliseconds(120'000)) {
    return wait_until(
        [&] {
          read();
          const size_t at = screen_.find(text, seen_);
          if (at == std::string::npos) return false;
          seen_ = at + text.size();
          return true;
        },
        limit);
  }
  void resize(unsigned short rows, unsigned short cols) {
    winsize size{};
    size.ws_row = rows;
    size.ws_col = cols;
    ::ioctl(master_.get(), TIOCSWINSZ, &size);
  }
  termios settings() const {
    termios now{};
    ::tcgetattr(master_.get(), &now);
    return now;
  }
  bool raw() const { return (settings().c_lflag & (ICANON | ECHO | ISIG)) == 0; }
  bool restored() const {
    const termios now = settings();
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag;
  }
  void signal(int signo) { ::kill(pid_, signo); }
  pid_t pid() const { return pid_; }
  const std::string& screen() const { return screen_; }
  // Its exit code, -1: none within the limit.
  int finish() {
    if (over_) return code_;
    int status = 0;
    over_ =
        wait_until([&] { return read(), ::waitpid(pid_, &status, WNOHANG) == pid_; }, milliseconds(60'000));
    read();
    return code_ = !over_ ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  void read() {
    char chunk[4096];
    for (pollfd ready{master_.get(), POLLIN, 0};
         ::poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0;) {
      const ssize_t n = ::read(master_.get(), chunk, sizeof chunk);
      if (n <= 0) return;
      screen_.append(chunk, static_cast<size_t>(n));
    }
  }

  pid_t pid_ = -1;
  UniqueFd master_;
  termios before_{};
  std::string screen_;
  size_t seen_ = 0;
  bool over_ = false;
  int code_ = -1;
};

// QEMU's process, the launcher's child.
pid_t qemu_of(pid_t launcher) {
  std::ifstream children("/proc/" + std::to_string(launcher) + "/task/" + std::to_string(launcher) +
                         "/children");
  pid_t pid = -1, last = -1;
  while (children >> pid) last = pid;
  return last;
}

TEST(Shell, ACommandHasItsOutputsAndItsExitCodeAndNothingElse) {
  Scratch scratch;
  const std::string path = scratch.write("spec.toml", spec());
  auto plain =
      launch(scratch, {"shell", "t", path, "--exec",
                       "cat /sys/kernel/sched_ext/state; nproc; ls /ktstr/sched; echo trouble >&2; exit 7"});
  EXPECT_EQ(plain.exit_code, 7);
  EXPECT_EQ(plain.out, "disabled\n2\nscx_demo\n");
  EXPECT_EQ(plain.err, "trouble\n");

  auto scheduled =
      launch(scratch, {"shell", "t", path, "--with-scheduler", "--out", scratch.path() + "/kept", "--exec",
                       "cat /sys/kernel/sched_ext/state /sys/kernel/sched_ext/root/ops"});
  EXPECT_EQ(scheduled.exit_code, 0) << scheduled.err;
  EXPECT_EQ(scheduled.out, "enabled\ndemo\n");
  EXPECT_EQ(scheduled.err, "");
  EXPECT_NE(read_file(scratch.path() + "/kept/scheduler.txt").find("attached"), std::string::npos);
  EXPECT_NE(read_file(scratch.path() + "/kept/console.txt").find("sched_ext"), std::string::npos);
  EXPECT_TRUE(processes_with("qemu", scratch.path()).empty());
}

TEST(Shell, InputAndOutputPassByteForByte) {
  Scratch scratch;
  std::string bytes;
  std::mt19937 random(7);
  for (int i = 0; i < 1'000'000; ++i) bytes.push_back(static_cast<char>(random()));
  const std::string in = scratch.write("in", bytes);
  Running run(scratch, {"/bin/sh", "-c", KTSTR_BIN "/ktstr-launch shell --exec 'tee /dev/stderr' <" + in});
  auto output = run.finish();
  EXPECT_EQ(output.exit_code, 0);
  EXPECT_TRUE(output.out == bytes) << output.out.size() << " bytes came";
  EXPECT_TRUE(output.err == bytes) << output.err.size() << " bytes came";
}

TEST(Shell, AReaderThatGoesAwayEndsTheVm) {
  Scratch scratch;
  Running run(scratch,
              {"/bin/bash", "-c",
               KTSTR_BIN "/ktstr-launch shell --exec yes </dev/null | head -n 3; echo ${PIPESTATUS[0]}"});
  auto output = run.finish();
  EXPECT_EQ(output.out, "y\ny\ny\n141\n") << output.err;
}

TEST(Shell, AVmThatDiesIsAnErrorWithTheKernelsLastLines) {
  Scratch scratch;
  auto died =
      launch(scratch, {"shell", "--exec", "echo before; sleep 0.2; echo c >/proc/sysrq-trigger; sleep 100"});
  EXPECT_EQ(died.exit_code, 3);
  EXPECT_EQ(died.out, "before\n");
  EXPECT_NE(died.err.find("the VM ended before its shell did"), std::string::npos) << died.err;
  EXPECT_NE(died.err.find("Kernel panic"), std::string::npos) << died.err;
}

TEST(Shell, ASchedulerThatDoesNotAttachIsTheErrorOfACommand) {
  Scratch scratch;
  const std::string path = scratch.write("spec.toml", spec_text({.scheduler = "scx_exit_early"}));
  auto run = launch(scratch, {"shell", "t", path, "--with-scheduler", "--exec", "echo not reached"});
  EXPECT_EQ(run.exit_code, 3);
  EXPECT_EQ(run.out, "");
  EXPECT_NE(run.err.find("before sched_ext was enabled"), std::string::npos) << run.err;
}

TEST(Shell, WrongWordsAreToldApartFromTheGuestsCodes) {
  Scratch scratch;
  const std::string path = scratch.write("spec.toml", spec_text({.name = "pipes"}));
  for (const auto& [args, words] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"shell", "pipse", path}, "did you mean pipes?"},
           {{"shell", "pipes"}, "the spec that holds the test is missing"},
           {{"shell", "--with-scheduler"}, "--with-scheduler starts the scheduler of a test"},
           {{"shell", "pipes", path, "--with-scheduler"}, "has no scheduler to start"},
           {{"shell", "--topology", "4"}, "4"},
           {{"shell", "--with", "/no/such/program"}, "no such program"},
           {{"shell", "--kernel", "1.0"}, "1.0"}}) {
    auto run = launch(scratch, args);
    EXPECT_EQ(run.exit_code, 2) << run.err;
    EXPECT_NE(run.err.find(words), std::string::npos) << words << "\n" << run.err;
  }
  auto none = launch(scratch, {"shell", "--exec", "true"}, {"PATH=/no/such/folder"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.err.find("busybox-static"), std::string::npos) << none.err;
}

TEST(Shell, AddedWordsAndProgramsReachTheVm) {
  Scratch scratch;
  auto run =
      launch(scratch, {"shell", "--kernel-arg", "ktstr.hello=1", "--qemu-arg=-smbios",
                       "--qemu-arg=type=1,serial=from-the-command-line", "--topology", "1n1l2c1t", "--memory",
                       "512", "--with", "date", "--exec",
                       "grep -o ktstr.hello=1 /proc/cmdline; cat /sys/class/dmi/id/product_serial; nproc; "
                       "/usr/bin/date --version | head -1"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out.substr(0, run.out.find("date")), "ktstr.hello=1\nfrom-the-command-line\n2\n");
  EXPECT_NE(run.out.find("GNU coreutils"), std::string::npos)
      << "this host's date, not busybox's: " << run.out;
}

TEST(Shell, AUserWorksAtATerminalAndGetsItBackAsItWas) {
  Scratch scratch;
  User user(scratch, {"shell", "t", scratch.write("spec.toml", spec()), "--with-scheduler"});
  ASSERT_TRUE(user.sees("Ctrl-] three times")) << user.screen();
  ASSERT_TRUE(user.sees("t:/# ")) << user.screen();
  EXPECT_TRUE(user.raw());
  user.type("stty size; cat /sys/kernel/sched_ext/state\r");
  EXPECT_TRUE(user.sees("31 91")) << user.screen();
  EXPECT_TRUE(user.sees("enabled")) << user.screen();
  user.resize(44, 99);
  EXPECT_TRUE(wait_until(
      [&] {
        user.type("stty size\r");
        return user.sees("44 99", milliseconds(1000));
      },
      milliseconds(30'000)))
      << user.screen();

  user.type("sh -c 'echo r\"\"uns; sleep 1000'\r");
  ASSERT_TRUE(user.sees("runs")) << user.screen();
  user.type("\x03");
  user.type("echo code $?\r");
  EXPECT_TRUE(user.sees("code 130")) << "Ctrl-C ended the job, not the shell:\n" << user.screen();
  user.type("sleep 1000\r");
  ASSERT_TRUE(user.sees("sleep 1000")) << user.screen();
  EXPECT_TRUE(wait_until(
      [&] {
        user.type("\x1a");
        return user.sees("Stopped", milliseconds(1000));
      },
      milliseconds(30'000)))
      << user.screen();
  user.type("kill %1; fg\r");
  ASSERT_TRUE(user.sees("Terminated")) << user.screen();
  user.type("exit 9\r");
  EXPECT_EQ(user.finish(), 9) << user.screen();
  EXPECT_TRUE(user.restored());
}

// Each way out but the shell's own.
TEST(Shell, TheTerminalIsAsItWasHoweverTheVmEnds) {
  struct Way {
    const char* name;
    std::function<void(User&)> take;
    int code;
  };
  for (const Way& way : std::vector<Way>{
           {"the launcher gets SIGTERM", [](User& user) { user.signal(SIGTERM); }, 143},
           {"the user's three Ctrl-]", [](User& user) { user.type("\x1d\x1d\x1d"); }, 143},
           {"QEMU is killed", [](User& user) { ::kill(qemu_of(user.pid()), SIGKILL); }, 3},
           {"the guest panics", [](User& user) { user.type("echo c >/proc/sysrq-trigger\r"); }, 3}}) {
    Scratch scratch;
    User user(scratch, {"shell"});
    ASSERT_TRUE(user.sees("shell:/# ")) << user.screen();
    EXPECT_TRUE(user.raw());
    way.take(user);
    EXPECT_EQ(user.finish(), way.code) << way.name << "\n" << user.screen();
    EXPECT_TRUE(user.restored()) << way.name;
  }
}

}  // namespace
}  // namespace ktstr::e2e
