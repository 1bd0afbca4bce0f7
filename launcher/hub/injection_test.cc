// System calls of the hub and of its log writer fail once, in each way that they can: full disk, no descriptor, no memory, a
// signal, a part only. The hub then either goes on and loses nothing, or says why it records no more; the log has whole records.
// The linker puts __wrap_X in the place of X for the code of ktstr (launcher/CMakeLists.txt); libzmq keeps the real ones.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <thread>
#include <zmq.hpp>

#include "launcher/hub/hub.h"
#include "schemas/client_generated.h"
#include "schemas/log_reader.h"

namespace {

// The one call that fails: the `at`-th of that name, from 0. `error` 0: it does a part of its work only.
struct Plan {
  std::string_view call;
  int error = 0;
  int at = -1;
};
Plan g_plan;
std::atomic<int> g_calls{0};
std::atomic<bool> g_armed{false};
thread_local bool t_exempt = false;  // the test's own thread, a producer

bool fails(std::string_view call) {
  if (!g_armed || t_exempt || call != g_plan.call || g_calls++ != g_plan.at) return false;
  errno = g_plan.error;
  return true;
}
// For writes: how many of `size` bytes; -1: none, errno says why.
ssize_t part(std::string_view call, size_t size) {
  if (!fails(call)) return static_cast<ssize_t>(size);
  return g_plan.error != 0 ? -1 : static_cast<ssize_t>(size / 2);
}

}  // namespace

extern "C" {
int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const auto mode = static_cast<mode_t>(va_arg(list, unsigned));
  va_end(list);
  return fails("open") ? -1 : __real_open(path, flags, mode);
}
ssize_t __real_writev(int fd, const iovec* parts, int count);
ssize_t __wrap_writev(int fd, const iovec* parts, int count) {
  const ssize_t first = part("writev", parts[0].iov_len + 1);
  if (first < 0) return -1;
  if (static_cast<size_t>(first) > parts[0].iov_len) return __real_writev(fd, parts, count);
  iovec some{parts[0].iov_base, static_cast<size_t>(first)};
  return __real_writev(fd, &some, 1);
}
ssize_t __real_send(int fd, const void* data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void* data, size_t size, int flags) {
  const ssize_t n = part("send", size);
  return n < 0 ? -1 : __real_send(fd, data, static_cast<size_t>(n), flags);
}
ssize_t __real_recv(int fd, void* data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void* data, size_t size, int flags) {
  const ssize_t n = part("recv", size);
  return n < 0 ? -1 : __real_recv(fd, data, static_cast<size_t>(n), flags);
}
int __real_accept4(int fd, sockaddr* address, socklen_t* size, int flags);
int __wrap_accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  return fails("accept4") ? -1 : __real_accept4(fd, address, size, flags);
}
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol) {
  return fails("socket") ? -1 : __real_socket(domain, type, protocol);
}
int __real_bind(int fd, const sockaddr* address, socklen_t size);
int __wrap_bind(int fd, const sockaddr* address, socklen_t size) {
  return fails("bind") ? -1 : __real_bind(fd, address, size);
}
int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog) { return fails("listen") ? -1 : __real_listen(fd, backlog); }
int __real_epoll_create1(int flags);
int __wrap_epoll_create1(int flags) { return fails("epoll_create1") ? -1 : __real_epoll_create1(flags); }
int __real_epoll_ctl(int poller, int what, int fd, epoll_event* event);
int __wrap_epoll_ctl(int poller, int what, int fd, epoll_event* event) {
  return fails("epoll_ctl") ? -1 : __real_epoll_ctl(poller, what, fd, event);
}
int __real_epoll_wait(int poller, epoll_event* events, int count, int timeout);
int __wrap_epoll_wait(int poller, epoll_event* events, int count, int timeout) {
  return fails("epoll_wait") ? -1 : __real_epoll_wait(poller, events, count, timeout);
}
int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags) { return fails("eventfd") ? -1 : __real_eventfd(value, flags); }
int __real_getsockopt(int fd, int level, int name, void* value, socklen_t* size);
int __wrap_getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  return fails("getsockopt") ? -1 : __real_getsockopt(fd, level, name, value, size);
}
}

namespace ktstr {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);
constexpr int kEvents = 30;

EventBuffer line(int i) {
  CollectorLineT t;
  t.text = std::to_string(i) + std::string(i % 7 == 0 ? 300'000 : 10, '.');
  return make_event({.run_id = "run", .source = "test"}, std::move(t));
}

template <typename Condition>
bool wait_for(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// Exit codes of the child that runs with the failure.
enum Outcome : int {
  kWhole = 0,           // all went on
  kRefusedToStart = 1,  // with words
  kStopped = 2,         // the hub records no more, with words; the log is whole up to what was announced
  kNotReached = 3,      // the call was not made so often
  kSilent = 10,         // it failed without words
  kTornLog = 11,
  kLost = 12,  // an announced event is not in the log
  kDead = 13,  // it takes no new producer's event, and says nothing
};

int run_once(const std::string& folder) {
  const std::string log = folder + "/events.ktlog";
  zmq::context_t context;
  g_armed = true;
  auto hub = Hub::start(context, {BusAddress::in_folder(folder), log, "run"});
  t_exempt = true;
  if (!hub) return hub.error().message().empty() ? kSilent : kRefusedToStart;
  {
    auto publisher = Publisher::connect(context, BusAddress::in_folder(folder));
    if (publisher) {
      publisher->set_give_up([&] { return !(*hub)->failure().empty(); });
      for (int i = 1; i <= kEvents; ++i)
        if (!publisher->publish(line(i))) break;
    }
  }
  g_armed = false;
  // Whatever became of the first producer, the hub serves another, or says that it records no more.
  auto second = Publisher::connect(context, BusAddress::in_folder(folder));
  if (second) {
    second->set_give_up([&] { return !(*hub)->failure().empty(); });
    const uint64_t before = (*hub)->last_seq();
    (void)second->publish(line(1000));
    if (!wait_for([&] { return (*hub)->last_seq() > before || !(*hub)->failure().empty(); })) return kDead;
  } else if ((*hub)->failure().empty()) {
    return kDead;
  }
  const uint64_t announced = (*hub)->last_seq();
  const bool failed = !(*hub)->failure().empty();
  (*hub)->stop();
  auto reader = LogReader::open(log);
  if (!reader) return kTornLog;
  uint64_t last = 0;
  for (;;) {
    auto event = reader->next();
    if (!event) return kTornLog;
    if (!*event) break;
    if ((**event).seq() != ++last) return kLost;
  }
  if (last < announced) return kLost;
  // Where the writer could not remove a part of a record, readers stop before it: that is no loss.
  if (g_calls <= g_plan.at) return kNotReached;
  return failed ? kStopped : kWhole;
}

struct Case {
  const char* call;
  std::vector<int> errors;  // 0: a part only
};

void PrintTo(const Case& row, std::ostream* out) { *out << row.call; }

class Injection : public testing::TestWithParam<Case> {};

TEST_P(Injection, EachFailsOnceAndNothingIsLostInSilence) {
  int reached = 0;
  for (int error : GetParam().errors) {
    for (int at = 0; at < 6; ++at) {
      char name[] = "/tmp/ktstr-inject-XXXXXX";
      const std::string folder = ::mkdtemp(name);
      const pid_t child = ::fork();
      if (child == 0) {
        g_plan = {GetParam().call, error, at};
        ::alarm(60);
        ::_exit(run_once(folder));
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      std::filesystem::remove_all(folder);
      ASSERT_TRUE(WIFEXITED(status)) << GetParam().call << " " << ::strerror(error) << ", call " << at
                                     << ": signal " << WTERMSIG(status);
      ASSERT_LT(WEXITSTATUS(status), static_cast<int>(kSilent))
          << GetParam().call << " " << (error ? ::strerror(error) : "a part") << ", call " << at;
      if (WEXITSTATUS(status) == kNotReached) break;
      ++reached;
    }
  }
  EXPECT_GT(reached, 0) << "the hub makes no such call: the row shows nothing";
}

INSTANTIATE_TEST_SUITE_P(EverySystemCall, Injection,
                         testing::Values(Case{"open", {EMFILE, ENOSPC, EACCES}},
                                         Case{"writev", {ENOSPC, EIO, EINTR, 0}},
                                         Case{"send", {EAGAIN, ENOBUFS, EINTR, 0}},
                                         Case{"recv", {EINTR, ECONNRESET, 0}},
                                         Case{"accept4", {EMFILE, ENFILE, ENOMEM, ECONNABORTED, EINTR}},
                                         Case{"socket", {EMFILE, ENOMEM}}, Case{"bind", {EADDRINUSE, ENOSPC}},
                                         Case{"listen", {EADDRINUSE}}, Case{"epoll_create1", {EMFILE}},
                                         Case{"epoll_ctl", {ENOMEM, ENOSPC}}, Case{"epoll_wait", {EINTR}},
                                         Case{"eventfd", {EMFILE}}, Case{"getsockopt", {ENOBUFS}}),
                         [](const auto& row) { return std::string(row.param.call); });

}  // namespace
}  // namespace ktstr
