// Clients that connect and say little, much at once, or nothing: what they cost, what is lost, what is told.
#include "launcher/hub/ingest_socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/testing/temp_dir.h"

namespace ktstr {
namespace {

// A PUSH socket's first words: greeting and READY.
std::string hello() {
  std::string text(64, '\0');
  text[0] = '\xff';
  text[9] = '\x7f';
  text[10] = 3;
  text.replace(12, 4, "NULL");
  return text + std::string("\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH", 28);
}
std::string frame(const std::string& body) {
  return std::string{'\0', static_cast<char>(body.size())} + body;
}
// The header of a frame of 16 MiB, and its first bytes.
std::string large_frame_begins(size_t bytes) {
  return std::string("\x02\0\0\0\0\x01\0\0\0", 9) + std::string(bytes, 'x');
}

class IngestSocketTest : public testing::Test {
 protected:
  IngestSocketTest() {
    events_.message = [this](std::span<const uint8_t> bytes, size_t, const Sender&) {
      messages_.emplace_back(bytes.begin(), bytes.end());
    };
    events_.opened = [this](int) { ++open_; };
    events_.closed = [this](int) { --open_; };
    events_.broken = [this](const std::string& what, const Sender&) { told_.push_back(what); };
  }
  void SetUp() override {
    bind([](pid_t) { return false; });
  }
  void bind(bool (*ours)(pid_t)) {
    socket_.reset();
    auto socket = IngestSocket::bind("ipc://" + path(), ours);
    ASSERT_TRUE(socket) << socket.error().message();
    socket_ = std::move(socket).value();
  }
  std::string path() const { return folder_ / "ingest.sock"; }

  UniqueFd connect() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path().c_str());
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  UniqueFd connect_and_say(const std::string& words) {
    UniqueFd fd = connect();
    EXPECT_EQ(::send(fd.get(), words.data(), words.size(), MSG_NOSIGNAL), static_cast<ssize_t>(words.size()));
    return fd;
  }
  // Serves until there is nothing to do.
  void serve() {
    while (socket_->receive(events_)) {
    }
  }
  bool told(const std::string& part) const {
    return std::any_of(told_.begin(), told_.end(),
                       [&](const std::string& what) { return what.find(part) != std::string::npos; });
  }

  TempDirForTest folder_;
  IngestSocket::Events events_;
  std::unique_ptr<IngestSocket> socket_;
  std::vector<std::string> messages_, told_;
  int open_ = 0;
};

TEST_F(IngestSocketTest, AClientThatSaysAllAtOnceAndClosesLosesNothing) {
  for (int i = 0; i < 100; ++i) connect_and_say(hello() + frame("one") + frame("two")).reset();
  serve();
  EXPECT_EQ(messages_.size(), 200u);
  EXPECT_EQ(open_, 0);
  EXPECT_TRUE(told_.empty());
}

TEST_F(IngestSocketTest, AnnouncedFramesCostTheBytesThatCame) {
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(connect_and_say(hello() + large_frame_begins(15)));
    serve();
  }
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(open_, 200);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 32 << 10) << "KiB";
}

TEST_F(IngestSocketTest, HalfMessagesOfAllStrangersTogetherAreBounded) {
  const std::string much(8u << 20, 'x');
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(connect_and_say(hello() + large_frame_begins(0)));
    for (size_t sent = 0; sent < much.size();) {
      const ssize_t n =
          ::send(clients.back().get(), much.data() + sent, much.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) sent += static_cast<size_t>(n);
      serve();
      if (n <= 0 && errno != EAGAIN) break;
    }
  }
  EXPECT_TRUE(told("hold more than 64 MiB"));
  EXPECT_LT(open_, 20);
  EXPECT_GE(open_, 3);
  connect_and_say(hello() + frame("still heard")).reset();
  serve();
  EXPECT_EQ(messages_, std::vector<std::string>{"still heard"});
}

TEST_F(IngestSocketTest, IdleConnectionsMakePlaceForOneThatSpeaks) {
  std::vector<UniqueFd> idle;
  for (size_t i = 0; i < IngestSocket::kMaxPeers; ++i) {
    idle.push_back(connect());
    serve();
  }
  EXPECT_EQ(open_, static_cast<int>(IngestSocket::kMaxPeers));
  auto late = connect_and_say(hello() + frame("late"));
  serve();
  EXPECT_EQ(messages_, std::vector<std::string>{"late"});
  EXPECT_EQ(open_, static_cast<int>(IngestSocket::kMaxPeers));
  EXPECT_TRUE(told("has sent no message and is closed"));
}

TEST_F(IngestSocketTest, WhoeverIsOneTooManyIsTold) {
  std::vector<UniqueFd> busy;
  for (size_t i = 0; i < IngestSocket::kMaxPeers; ++i) {
    busy.push_back(connect_and_say(hello() + frame("x")));
    serve();
  }
  auto late = connect();
  serve();
  EXPECT_TRUE(told("is not taken: 256 clients are connected"));
  char byte = 0;
  EXPECT_EQ(::recv(late.get(), &byte, 1, 0), 0) << "it hears at once that nobody serves it";
}

TEST_F(IngestSocketTest, OutOfDescriptorsAClientIsTurnedAwayAndNothingSpins) {
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 10; ++i) waiting.push_back(connect_and_say(hello() + frame("x")));
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const int next = ::dup(0);
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (int i = 0; i < 20; ++i) socket_->receive(events_);
  pollfd p{socket_->fd(), POLLIN, 0};
  const int ready = ::poll(&p, 1, 0);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(ready, 0) << "the hub would be woken again and again for what it cannot do";
  EXPECT_TRUE(told("no descriptor left"));
  auto later = connect_and_say(hello() + frame("later"));
  serve();
  serve();
  EXPECT_EQ(messages_, std::vector<std::string>{"later"});
}

TEST_F(IngestSocketTest, OursAreThisProcessAndItsChildrenOnly) {
  EXPECT_TRUE(IngestSocket::launched_here(::getpid()));
  EXPECT_FALSE(IngestSocket::launched_here(::getppid()));
  EXPECT_FALSE(IngestSocket::launched_here(1));
  EXPECT_FALSE(IngestSocket::launched_here(0));
  EXPECT_FALSE(IngestSocket::launched_here(-1));
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  EXPECT_TRUE(IngestSocket::launched_here(child));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(IngestSocket::launched_here(child));
}

}  // namespace
}  // namespace ktstr
