#include "guest/init/guest_commands.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/exec_report.h"
#include "base/testing/temp_dir.h"
#include "guest/init/check_reader.h"
#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/limits.h"
#include "schemas/run_generated.h"
#include "schemas/shell_message.h"
#include "schemas/workload_generated.h"

namespace ktstr::guest {
namespace {

class Wire : public Carrier {
 public:
  explicit Wire(std::vector<uint8_t>& out) : out_(out) {}
  std::string name() const override { return "wire"; }
  Result<size_t> write(std::span<const uint8_t> bytes) override {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return bytes.size();
  }
  bool wait_writable(int) override { return true; }
  bool flush(int) override { return true; }

 private:
  std::vector<uint8_t>& out_;
};

class GuestCommandsTest : public testing::Test {
 protected:
  GuestCommandsTest() : channel_(std::make_unique<Wire>(wire_)), commands_(loop_, channel_, root_ / "root") {}

  void request(std::vector<std::string> argv) {
    GuestCommandRequestedT fact;
    fact.name = "trace";
    fact.argv = std::move(argv);
    commands_.on_event(make_event({.source = "trace"}, std::move(fact)));
  }
  void piece(const std::string& path, std::string_view bytes, uint64_t offset = 0) {
    FileEmbeddedT fact;
    fact.role = "command";
    fact.path = path;
    fact.guest_path = path;
    fact.offset = offset;
    fact.data.assign(bytes.begin(), bytes.end());
    commands_.on_event(make_event({.source = "collector"}, std::move(fact)));
  }
  void until_ended() {
    ASSERT_TRUE(loop_.run_until(
        [&] {
          int status = 0;
          for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) commands_.on_end(pid, status);
          return commands_.running() == 0;
        },
        now_ns() + 20 * kSecond));
  }
  std::vector<EventBuffer> said() {
    channel_.pump();
    FrameDecoder decoder;
    decoder.feed(wire_);
    std::vector<EventBuffer> events;
    while (auto payload = decoder.next()) events.push_back(EventBuffer::from_bytes(*payload).value());
    return events;
  }
  // A program that the command's folder can hold: the shell, through a script.
  void script(const std::string& path, const std::string& text) { piece(path, "#!/bin/sh\n" + text); }

  TempDirForTest root_;
  std::vector<uint8_t> wire_;
  EventLoop loop_;
  EventChannel channel_;
  GuestCommands commands_;
};

TEST_F(GuestCommandsTest, LinesOfBothStreamsAndTheEndAreTold) {
  script("/ktstr/cmd/trace/x", "echo one; echo two >&2; printf three; exit 7\n");
  request({"/ktstr/cmd/trace/x"});
  until_ended();
  std::vector<std::string> out, err;
  const GuestCommandExited* end = nullptr;
  auto events = said();
  for (const auto& event : events) {
    if (auto* line = event.as<CollectorLine>()) {
      EXPECT_EQ(str(line->name()), "trace");
      (line->stream() == OutputStream::Stdout ? out : err).emplace_back(str(line->text()));
    }
    if (auto* e = event.as<GuestCommandExited>()) end = e;
  }
  EXPECT_EQ(out, (std::vector<std::string>{"one", "three"}));
  EXPECT_EQ(err, std::vector<std::string>{"two"});
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(end->exit_code(), 7);
  EXPECT_EQ(str(end->error()), "");
}

TEST_F(GuestCommandsTest, AMissingProgramIsToldWithItsReason) {
  request({"/no/such/program"});
  auto events = said();
  ASSERT_EQ(events.size(), 1u);
  ASSERT_NE(events[0].as<GuestCommandExited>(), nullptr);
  EXPECT_NE(str(events[0].as<GuestCommandExited>()->error()).find("No such file"), std::string_view::npos);
  EXPECT_EQ(events[0].as<GuestCommandExited>()->exit_code(), 127);
}

TEST_F(GuestCommandsTest, StopEndsWhatRunsAndItsChildren) {
  script("/ktstr/cmd/trace/x", "sleep 1000 & sleep 1000\n");
  request({"/ktstr/cmd/trace/x"});
  ASSERT_EQ(commands_.running(), 1u);
  // stop() waits for on_end, which PID 1 calls from its SIGCHLD.
  loop_.every(kMs, [this] {
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) commands_.on_end(pid, status);
  });
  commands_.stop(20 * kSecond);
  EXPECT_EQ(commands_.running(), 0u);
}

TEST_F(GuestCommandsTest, ARequestWithoutAProgramEndsTheOneThatRuns) {
  script("/ktstr/cmd/trace/x", "sleep 1000\n");
  request({"/ktstr/cmd/trace/x"});
  ASSERT_EQ(commands_.running(), 1u);
  request({});
  until_ended();
  auto events = said();
  ASSERT_NE(events.back().as<GuestCommandExited>(), nullptr);
  EXPECT_EQ(events.back().as<GuestCommandExited>()->signal(), SIGTERM);
}

TEST_F(GuestCommandsTest, PiecesMakeAFileAndAPathThatLeadsElsewhereIsRefused) {
  piece("/ktstr/cmd/trace/data", "0123");
  piece("/ktstr/cmd/trace/data", "4567", 4);
  std::ifstream in(root_ / "root/ktstr/cmd/trace/data");
  std::string text;
  in >> text;
  EXPECT_EQ(text, "01234567");
  piece("/ktstr/../../etc/x", "no");
  EXPECT_FALSE(std::filesystem::exists(root_ / "root/../etc/x"));
  request({"/ktstr/cmd/trace/data"});  // its files did not all come: it does not start
  auto events = said();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_NE(str(events[0].as<GuestCommandExited>()->error()).find("no path for a file"),
            std::string_view::npos);
}

TEST_F(GuestCommandsTest, ALibraryThatIsThereIsLeftAlone) {
  std::filesystem::create_directories(root_ / "root/lib");
  std::ofstream(root_ / "root/lib/libx.so") << "mapped by the scheduler";
  piece("/lib/libx.so", "other");
  piece("/lib/libx.so", "more", 5);
  std::ifstream in(root_ / "root/lib/libx.so");
  std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text, "mapped by the scheduler");
}

// However many lines come in a second, the last one may be the failure.
TEST(CheckReader, TheLastOfManyChecksIsToldAndWorkersDoNotCountAsChecks) {
  std::vector<uint8_t> wire;
  EventLoop loop;
  EventChannel channel(std::make_unique<Wire>(wire));
  CheckReader checks(loop, channel);
  std::string text;
  for (int i = 0; i < 6000; ++i) text += report_line({}) + "\n{\"name\": \"x\", \"outcome\": \"pass\"}\n";
  text += "worker 00\n";  // no report: it must not get lost unseen
  text += "{\"outcome\": \"fail\"}\n";
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
  UniqueFd ours(pipe[0]), theirs(pipe[1]);
  checks.start(std::move(ours));
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(theirs.get(), text.data() + done, text.size() - done);
    if (n > 0) done += static_cast<size_t>(n);
    checks.drain(false);
    channel.pump();
  }
  theirs.reset();
  checks.drain(true);
  channel.pump();
  FrameDecoder decoder;
  decoder.feed(wire);
  size_t workers = 0, told = 0, unreadable = 0;
  Outcome last = Outcome::Pass;
  while (auto payload = decoder.next()) {
    auto event = EventBuffer::from_bytes(*payload).value();
    workers += event.as<WorkerReport>() != nullptr;
    if (auto* check = event.as<CheckReported>()) {
      ++told;
      unreadable += check->outcome() == Outcome::Inconclusive;
      last = check->outcome();
    }
  }
  EXPECT_EQ(workers, 6000u);
  EXPECT_EQ(told, 6002u);
  EXPECT_EQ(unreadable, 1u);
  EXPECT_EQ(last, Outcome::Fail);
}

// PID 1 does not wait for a child that the scheduler never runs.
TEST(ExecReport, AChildThatDoesNotGetToItsExecIsNotWaitedFor) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  UniqueFd ours(pipe[0]), theirs(pipe[1]);
  EXPECT_EQ(exec_error(ours.get(), kMs), 0);
  const int error = ENOENT;
  ASSERT_EQ(::write(theirs.get(), &error, sizeof error), static_cast<ssize_t>(sizeof error));
  EXPECT_EQ(exec_error(ours.get()), ENOENT);
  theirs.reset();
  EXPECT_EQ(exec_error(ours.get()), 0);
  EXPECT_TRUE(ends_as_asked(SIGTERM));
  EXPECT_FALSE(ends_as_asked(SIGSEGV));
}

TEST(HostInput, GoodbyeComesAsAFrameAndIsNotTakenFromAnEventsBytes) {
  HostInput input;
  GuestCommandRequestedT fact;
  fact.name = "K";
  fact.argv = {"KKKK"};
  std::vector<uint8_t> bytes;
  append_frame(make_event({.source = "x"}, std::move(fact)).bytes(), bytes);
  input.feed(bytes);
  ASSERT_TRUE(input.next().has_value());
  EXPECT_FALSE(input.next().has_value());
  EXPECT_FALSE(input.goodbye());
  bytes.clear();
  append_frame(std::span(&kHostGoodbye, 1), bytes);
  input.feed(bytes);
  EXPECT_FALSE(input.next().has_value());
  EXPECT_TRUE(input.goodbye());
}

TEST_F(GuestCommandsTest, FilesThatWereAskedForComeBeforeTheCommandsEnd) {
  script("/ktstr/cmd/trace/make", "head -c 600000 /dev/zero | tr '\\0' x >\"$1\"\n");
  GuestCommandRequestedT fact;
  fact.name = "trace";
  fact.argv = {"/ktstr/cmd/trace/make", root_ / "root/made"};
  fact.fetch = {"/made", "/none", "/../etc/passwd"};
  commands_.on_event(make_event({.source = "trace"}, std::move(fact)));
  until_ended();
  std::string content;
  std::vector<std::string> errors;
  bool ended = false;
  loop_.after_turn([this] { channel_.pump(); });
  ASSERT_TRUE(loop_.run_until(
      [&] {
        content.clear();
        errors.clear();
        for (const EventBuffer& event : said()) {
          if (const auto* piece = event.as<GuestFileSent>()) {
            EXPECT_FALSE(ended);
            EXPECT_LE(bytes_of(piece->data()).size(), kFetchPiece);
            EXPECT_EQ(str(piece->name()), "trace");
            if (piece->error()) {
              errors.emplace_back(str(piece->error()));
              continue;
            }
            EXPECT_EQ(piece->size(), 600'000u);
            EXPECT_EQ(piece->offset(), content.size());
            content.append(piece->data()->begin(), piece->data()->end());
          }
          ended = ended || event.as<GuestCommandExited>();
        }
        return std::exchange(ended, false);
      },
      now_ns() + 20 * kSecond));
  EXPECT_EQ(content, std::string(600'000, 'x'));
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_NE(errors[0].find("/none: No such file"), std::string::npos) << errors[0];
  EXPECT_NE(errors[1].find("is no path of a file"), std::string::npos) << errors[1];
}

TEST_F(GuestCommandsTest, AFileIsSentWithoutACommandToo) {
  std::filesystem::create_directories(root_ / "root");
  std::ofstream(root_ / "root/here") << "content";
  GuestCommandRequestedT fact;
  fact.name = "trace";
  fact.fetch = {"/here"};
  commands_.on_event(make_event({.source = "trace"}, std::move(fact)));
  bool ended = false;
  ASSERT_TRUE(loop_.run_until(
      [&] {
        for (const EventBuffer& event : said()) ended = ended || event.as<GuestCommandExited>();
        return ended;
      },
      now_ns() + 20 * kSecond));
  const auto events = said();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(bytes_of(events[0].as<GuestFileSent>()->data()).size(), 7u);
  EXPECT_EQ(events[1].as<GuestCommandExited>()->exit_code(), 0);
}

}  // namespace
}  // namespace ktstr::guest
