// The adapter over real unix sockets, with a made-up loop: connections, attempts, the end of a VM.
#include "collector/collector_role.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "schemas/client_generated.h"
#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

class FakeContext : public Context {
 public:
  explicit FakeContext(std::string folder) : folder_(std::move(folder)) {}
  void publish_event(EventBuffer event) override { events.push_back(std::move(event)); }
  EventHead head() const override { return {.run_id = "run", .source = "collector", .host_ns = 7}; }
  void watch(int fd, std::function<void()> readable) override { watched_[fd] = std::move(readable); }
  void unwatch(int fd) override { watched_.erase(fd); }
  int every(std::chrono::nanoseconds, std::function<void()>) override { return 0; }
  void cancel(int) override {}
  void stop(int) override {}
  const std::string& bus_folder() const override { return folder_; }
  const std::string& log_path() const override { return folder_; }
  const Clock& clock() const override { return clock_; }

  // Serves what is readable until nothing is.
  void turn() {
    for (bool any = true; any;) {
      any = false;
      std::vector<pollfd> fds;
      for (auto& [fd, callback] : watched_) fds.push_back({fd, POLLIN, 0});
      if (::poll(fds.data(), fds.size(), 0) <= 0) return;
      for (const pollfd& p : fds) {
        auto it = watched_.find(p.fd);
        if (p.revents == 0 || it == watched_.end()) continue;
        auto callback = it->second;
        callback();
        any = true;
      }
    }
  }
  std::vector<EventBuffer> events;

 private:
  std::string folder_;
  SystemClock clock_;
  std::map<int, std::function<void()>> watched_;
};

class CollectorRoleTest : public testing::Test {
 protected:
  CollectorRoleTest() {
    char name[] = "/tmp/collector_role_test.XXXXXX";
    folder_ = ::mkdtemp(name);
    context_ = std::make_unique<FakeContext>(folder_);
    role_ = std::make_unique<CollectorRole>();
    EXPECT_TRUE(role_->on_start(*context_));
  }
  ~CollectorRoleTest() override {
    role_.reset();
    std::filesystem::remove_all(folder_);
  }
  UniqueFd connect(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (folder_ + "/" + name).copy(address.sun_path, sizeof(address.sun_path) - 1);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0) << name;
    return fd;
  }
  static void send(const UniqueFd& fd, std::span<const uint8_t> bytes) {
    ASSERT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  static std::vector<uint8_t> finished_frame() {
    std::vector<uint8_t> frame;
    append_frame(make_event({.run_id = "run", .source = "guest"}, GuestFinishedT{}).bytes(), frame);
    return frame;
  }
  // Payloads of the frames that the guest would read.
  static std::vector<std::string> from_host(const UniqueFd& channel) {
    std::vector<uint8_t> bytes(1 << 20);
    FrameDecoder decoder;
    for (ssize_t n; (n = ::read(channel.get(), bytes.data(), bytes.size())) > 0;)
      decoder.feed(std::span(bytes).first(static_cast<size_t>(n)));
    std::vector<std::string> payloads;
    while (auto p = decoder.next()) payloads.emplace_back(p->begin(), p->end());
    return payloads;
  }
  void command(const std::string& name, Vm vm = Vm::Primary) {
    GuestCommandRequestedT request;
    request.vm = vm;
    request.name = name;
    request.argv = {"/bin/true"};
    role_->on_event(make_event({.run_id = "run", .source = "client"}, std::move(request)), *context_);
  }
  void vm_started(Vm vm, uint8_t attempt = 0) {
    role_->on_event(make_event({.vm = vm, .attempt = attempt}, VmStartedT{}), *context_);
  }
  void vm_exited(Vm vm, uint8_t attempt) {
    role_->on_event(make_event({.vm = vm, .attempt = attempt}, VmExitedT{}), *context_);
  }
  size_t count(Payload type) const {
    size_t n = 0;
    for (const auto& event : context_->events) n += event.type() == type;
    return n;
  }
  const EventBuffer& last() const { return context_->events.back(); }

  std::string folder_;
  std::unique_ptr<FakeContext> context_;
  std::unique_ptr<CollectorRole> role_;
};

TEST_F(CollectorRoleTest, AVmIsOverWhenBothConnectionsEnded) {
  UniqueFd console = connect("console.primary.sock"), channel = connect("channel.primary.sock");
  send(console, std::span(reinterpret_cast<const uint8_t*>("hello\n"), 6));
  send(channel, finished_frame());
  context_->turn();
  EXPECT_EQ(count(Payload::ConsoleLine), 1u);
  EXPECT_EQ(count(Payload::GuestFinished), 1u);
  EXPECT_EQ(from_host(channel), (std::vector<std::string>{"K"}));  // the guest may power off
  console.reset();
  context_->turn();
  EXPECT_EQ(count(Payload::CollectorDrained), 0u);
  channel.reset();
  context_->turn();
  EXPECT_EQ(count(Payload::CollectorDrained), 1u);
  EXPECT_EQ(last().vm(), Vm::Primary);
  vm_exited(Vm::Primary, 0);
  EXPECT_EQ(count(Payload::CollectorDrained), 1u);
}

TEST_F(CollectorRoleTest, ACommandAndItsFilesGoToTheGuestAndTheBundleIsGone) {
  UniqueFd console = connect("console.primary.sock"), channel = connect("channel.primary.sock");
  context_->turn();
  vm_started(Vm::Primary);
  std::vector<uint8_t> bundle;
  FileEmbeddedT file;
  file.role = "command";
  file.path = file.guest_path = "/ktstr/cmd/trace/x";
  append_frame(make_event({.run_id = "run", .source = "trace"}, std::move(file)).bytes(), bundle);
  const std::string path = folder_ + "/guest.trace.bundle";
  UniqueFd out(::open(path.c_str(), O_WRONLY | O_CREAT, 0600));
  send(out, bundle);
  command("trace");
  EXPECT_FALSE(std::filesystem::exists(path));
  auto heard = from_host(channel);
  ASSERT_EQ(heard.size(), 2u);
  EXPECT_NE(heard[0].find("/ktstr/cmd/trace/x"), std::string::npos);
  EXPECT_NE(heard[1].find("/bin/true"), std::string::npos);
  // The VM ends before the command does: its client is told.
  channel.reset();
  console.reset();
  context_->turn();
  ASSERT_EQ(count(Payload::GuestCommandExited), 1u);
  EXPECT_EQ(last().type(), Payload::CollectorDrained);
}

TEST_F(CollectorRoleTest, ACommandThatCameBeforeItsVmWaitsForIt) {
  command("early");
  command("repro", Vm::Repro);
  EXPECT_EQ(count(Payload::GuestCommandExited), 0u);
  UniqueFd console = connect("console.primary.sock"), channel = connect("channel.primary.sock");
  context_->turn();
  EXPECT_TRUE(from_host(channel).empty());
  vm_started(Vm::Primary);
  EXPECT_EQ(from_host(channel).size(), 1u);
  channel.reset();
  console.reset();
  context_->turn();
  EXPECT_EQ(count(Payload::GuestCommandExited), 1u);
  command("late");
  ASSERT_EQ(count(Payload::GuestCommandExited), 2u);
  EXPECT_NE(str(last().as<GuestCommandExited>()->error()).find("has ended"), std::string_view::npos);
  role_->on_event(make_event({}, FactsCompletedT{}), *context_);
  ASSERT_EQ(count(Payload::GuestCommandExited), 3u);
  EXPECT_EQ(last().vm(), Vm::Repro);
}

// A VM that fails to be restored is given up for one that boots, on the same connection.
TEST_F(CollectorRoleTest, AGuestHearsItsWorkOnceItsVmIsStartedAndCommandsAfterIt) {
  std::vector<uint8_t> work;
  append_frame(make_event({.source = "launcher"}, HandoverStartedT{}).bytes(), work);
  append_frame(make_event({.source = "launcher"}, HandoverFinishedT{}).bytes(), work);
  UniqueFd out(::open((folder_ + "/handover.primary.bundle").c_str(), O_WRONLY | O_CREAT, 0600));
  send(out, work);
  UniqueFd channel = connect("channel.primary.sock");
  context_->turn();
  command("early");
  EXPECT_TRUE(from_host(channel).empty());
  vm_started(Vm::Primary);
  auto heard = from_host(channel);
  ASSERT_EQ(heard.size(), 3u);
  EXPECT_NE(heard[2].find("/bin/true"), std::string::npos);
  EXPECT_EQ(count(Payload::GuestCommandExited), 0u);
}

TEST_F(CollectorRoleTest, AVmThatIsStartedBeforeItConnectsHearsItsWorkToo) {
  std::vector<uint8_t> work;
  append_frame(make_event({.source = "launcher"}, HandoverStartedT{}).bytes(), work);
  UniqueFd out(::open((folder_ + "/handover.repro.bundle").c_str(), O_WRONLY | O_CREAT, 0600));
  send(out, work);
  vm_started(Vm::Repro, 1);
  UniqueFd channel = connect("channel.repro.sock");
  context_->turn();
  EXPECT_EQ(from_host(channel).size(), 1u);
}

TEST_F(CollectorRoleTest, ACommandWithABadNameIsAnsweredAndTheGuestHearsNothing) {
  UniqueFd channel = connect("channel.primary.sock");
  context_->turn();
  command("../../etc");
  ASSERT_EQ(count(Payload::GuestCommandExited), 1u);
  EXPECT_TRUE(from_host(channel).empty());
}

TEST_F(CollectorRoleTest, AnAttemptThatNeverConnectedKeepsItsNumber) {
  vm_exited(Vm::Repro, 1);  // QEMU failed before it connected
  EXPECT_EQ(count(Payload::CollectorDrained), 1u);
  {
    UniqueFd console = connect("console.repro.sock");  // the second connects one socket only
    context_->turn();
  }
  vm_exited(Vm::Repro, 2);
  EXPECT_EQ(last().type(), Payload::CollectorDrained);
  EXPECT_EQ(last()->stamp()->attempt(), 2);
  {
    UniqueFd console = connect("console.repro.sock"), channel = connect("channel.repro.sock");
    send(channel, finished_frame());
    context_->turn();
    EXPECT_EQ(last().type(), Payload::GuestFinished);
    EXPECT_EQ(last()->stamp()->attempt(), 3);
  }
  context_->turn();
  vm_exited(Vm::Repro, 3);
  EXPECT_EQ(last().type(), Payload::CollectorDrained);
  EXPECT_EQ(last()->stamp()->attempt(), 3);
  EXPECT_EQ(count(Payload::CollectorDrained), 3u);
}

TEST_F(CollectorRoleTest, TheNthReproConnectionIsTheNthAttempt) {
  for (uint8_t attempt = 1; attempt <= 2; ++attempt) {
    UniqueFd channel = connect("channel.repro.sock"), console = connect("console.repro.sock");
    send(channel, finished_frame());
    context_->turn();
    EXPECT_EQ(last().type(), Payload::GuestFinished);
    EXPECT_EQ(last().vm(), Vm::Repro);
    EXPECT_EQ(last()->stamp()->attempt(), attempt);
    channel.reset();
    console.reset();
    context_->turn();
    EXPECT_EQ(last().type(), Payload::CollectorDrained);
    EXPECT_EQ(last()->stamp()->attempt(), attempt);
  }
}

TEST_F(CollectorRoleTest, AVmThatNeverConnectedIsDrainedAtItsExit) {
  vm_exited(Vm::Primary, 0);
  ASSERT_EQ(count(Payload::CollectorDrained), 1u);
  EXPECT_NE(str(last().as<CollectorDrained>()->note()).find("never connected"), std::string_view::npos);
}

TEST_F(CollectorRoleTest, WhatStandsInTheSocketsAtTheExitIsNotLost) {
  UniqueFd console = connect("console.primary.sock");
  const std::string text = "last words\n";
  send(console, std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  console.reset();
  vm_exited(Vm::Primary, 0);  // before the loop saw anything
  EXPECT_EQ(count(Payload::ConsoleLine), 1u);
  EXPECT_EQ(last().type(), Payload::CollectorDrained);
}

TEST_F(CollectorRoleTest, ASecondPrimaryConnectionIsTurnedAway) {
  UniqueFd first = connect("console.primary.sock");
  context_->turn();
  UniqueFd second = connect("console.primary.sock");
  context_->turn();
  char byte;
  EXPECT_EQ(::read(second.get(), &byte, 1), 0);
  send(first, std::span(reinterpret_cast<const uint8_t*>("x\n"), 2));
  context_->turn();
  EXPECT_EQ(count(Payload::ConsoleLine), 1u);
}

}  // namespace
}  // namespace ktstr
