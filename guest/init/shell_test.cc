#include "guest/init/shell.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "schemas/limits.h"
#include "schemas/shell_message.h"

namespace ktstr::guest {
namespace {

// The host's side of the channel: what init says, and a host that may stop reading.
class Host : public Carrier {
 public:
  explicit Host(std::vector<uint8_t>& out, const bool& reads) : out_(out), reads_(reads) {}
  std::string name() const override { return "host"; }
  Result<size_t> write(std::span<const uint8_t> bytes) override {
    if (!reads_) return size_t{0};
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return bytes.size();
  }
  bool wait_writable(int) override { return reads_; }
  bool flush(int) override { return true; }

 private:
  std::vector<uint8_t>& out_;
  const bool& reads_;
};

class GuestShellTest : public testing::Test {
 protected:
  GuestShellTest() : channel_(std::make_unique<Host>(wire_, reads_)), shell_(loop_, channel_, {"/bin/sh"}) {
    ::signal(SIGPIPE, SIG_IGN);
    loop_.after_turn([this] {
      channel_.pump();
      listen();
    });
  }

  ~GuestShellTest() override {
    if (pid_ > 0 && !exited_) ::kill(-pid_, SIGKILL);  // its session
  }

  void start(const std::string& command, bool terminal) {
    ShellPlanT plan;
    plan.command = command;
    plan.terminal = terminal;
    plan.rows = 33;
    plan.cols = 77;
    shell_.start(plan);
  }
  void input(const std::string& text, bool end = false) {
    ShellInputT fact;
    fact.data.assign(text.begin(), text.end());
    fact.end = end;
    tell(std::move(fact));
  }
  template <typename T>
  void tell(T fact) {
    const std::vector<uint8_t> payload = shell_message(std::move(fact));
    shell_.on_message(*as_shell_message(payload));
  }
  bool until(const std::function<bool()>& done) {
    return loop_.run_until(
        [&] {
          int status = 0;
          for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) shell_.on_end(pid, status);
          return done();
        },
        now_ns() + 20 * kSecond);
  }
  void until_over() {
    ASSERT_TRUE(until([this] { return exited_.has_value(); })) << out_ << err_;
  }
  void listen() {
    decoder_.feed(wire_);
    wire_.clear();
    while (auto payload = decoder_.next()) {
      const ShellMessage* message = as_shell_message(*payload);
      ASSERT_NE(message, nullptr);
      if (const auto* output = message->payload_as_ShellOutput()) {
        auto bytes = bytes_of(output->data());
        ASSERT_LE(bytes.size(), kShellPiece);
        (output->stream() == OutputStream::Stderr ? err_ : out_).append(bytes.begin(), bytes.end());
      }
      if (const auto* taken = message->payload_as_ShellTaken()) taken_ += taken->bytes();
      if (const auto* started = message->payload_as_ShellStarted()) pid_ = static_cast<pid_t>(started->pid());
      if (const auto* exited = message->payload_as_ShellExited()) exited->UnPackTo(&exited_.emplace());
    }
  }

  std::vector<uint8_t> wire_;
  bool reads_ = true;
  EventLoop loop_;
  EventChannel channel_;
  GuestShell shell_;
  FrameDecoder decoder_;
  std::string out_, err_;
  size_t taken_ = 0;
  pid_t pid_ = 0;
  std::optional<ShellExitedT> exited_;
};

TEST_F(GuestShellTest, ACommandHasItsTwoOutputsApartAndItsExitCode) {
  start("echo to out; echo to err >&2; exit 7", false);
  until_over();
  EXPECT_GT(pid_, 0);
  EXPECT_EQ(out_, "to out\n");
  EXPECT_EQ(err_, "to err\n");
  EXPECT_EQ(exited_->exit_code, 7);
  EXPECT_EQ(exited_->signal, 0);
}

TEST_F(GuestShellTest, ACommandReadsItsInputToTheEnd) {
  start("tr a-z A-Z", false);
  input("one\n");
  input("two\n", true);
  until_over();
  EXPECT_EQ(out_, "ONE\nTWO\n");
  EXPECT_EQ(taken_, 8u);
}

TEST_F(GuestShellTest, InputThatNobodyReadsIsAcknowledgedWhenTheReaderHasGone) {
  start("exec <&-; sleep 0.2; echo closed", false);
  input(std::string(kShellWindow, 'x'));
  until_over();
  EXPECT_EQ(out_, "closed\n");
}

TEST_F(GuestShellTest, InputIsAcknowledgedOnlyAsFarAsItWasTaken) {
  start("sleep 1000", false);
  input(std::string(70'000, 'x'));
  ASSERT_TRUE(until([this] { return taken_ >= 65'536; }));
  EXPECT_LT(taken_, 70'000u) << "a pipe holds 64 KiB, and sleep reads nothing";
}

TEST_F(GuestShellTest, ATerminalHasItsSizeAndJobControl) {
  start("", true);
  input("stty size; tty; set -o | grep monitor\n");
  for (const char* text : {"33 77", "/dev/pts/", "monitor  "})
    ASSERT_TRUE(until([&] { return out_.find(text) != std::string::npos; })) << text << "\n" << out_;
  ShellResizedT resized;
  resized.rows = 50;
  resized.cols = 120;
  tell(std::move(resized));
  input("stty size\n");
  ASSERT_TRUE(until([this] { return out_.find("50 120") != std::string::npos; })) << out_;
  input("exit 3\n");
  until_over();
  EXPECT_EQ(exited_->exit_code, 3);
}

TEST_F(GuestShellTest, CtrlCEndsTheForegroundJobAndNotTheShell) {
  start("", true);
  // Their own words tell who has the terminal: a shell that takes it back forgets what was typed before.
  input("PS1='re''ady '\n");
  ASSERT_TRUE(until([this] { return out_.find("ready ") != std::string::npos; })) << out_;
  input("sh -c 'echo r\"\"uns; sleep 1000'\n");
  ASSERT_TRUE(until([this] { return out_.find("runs") != std::string::npos; })) << out_;
  const size_t before = out_.size();
  input("\x03");
  ASSERT_TRUE(until([&] { return out_.find("ready ", before) != std::string::npos; })) << out_;
  input("echo ended with $?\n");
  ASSERT_TRUE(until([this] { return out_.find("ended with 130") != std::string::npos; })) << out_;
  input("exit\n");
  until_over();
}

TEST_F(GuestShellTest, AHostThatDoesNotReadStopsTheShellInsteadOfFillingTheMemory) {
  start("head -c 20000000 /dev/zero; echo done >&2", false);
  reads_ = false;
  ASSERT_FALSE(loop_.run_until([this] { return exited_.has_value(); }, now_ns() + kSecond));
  EXPECT_LT(channel_.queued(), 2u << 20);
  reads_ = true;
  until_over();
  EXPECT_EQ(out_.size(), 20'000'000u);
  EXPECT_EQ(err_, "done\n");
}

TEST_F(GuestShellTest, AShellThatIsNotThereIsSaid) {
  GuestShell none(loop_, channel_, {"/no/such/shell"});
  none.start({});
  EXPECT_TRUE(none.over());
  channel_.pump();
  listen();
  ASSERT_TRUE(exited_);
  EXPECT_EQ(exited_->exit_code, 127);
  EXPECT_NE(exited_->error.find("/no/such/shell"), std::string::npos) << exited_->error;
}

TEST_F(GuestShellTest, AShellThatASignalEndsSaysWhich) {
  start("kill -SEGV $$", false);
  until_over();
  EXPECT_EQ(exited_->signal, SIGSEGV);
  EXPECT_EQ(exited_->exit_code, 0);
}

}  // namespace
}  // namespace ktstr::guest
