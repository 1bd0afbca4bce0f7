// The gate on the host: a child process under a filter, its calls, and what becomes of them. Needs no privilege beyond
// no_new_privs, and no sched_ext.
#include "guest/init/attach_gate.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "guest/init/fd_passing.h"
#include "guest/init/notify_filter.h"

namespace ktstr::guest {
namespace {

constexpr uint64_t kLong = 60 * kSecond;
constexpr uint32_t kStructOps = 44;  // BPF_STRUCT_OPS as attach type of a link

struct LinkAttr {
  uint32_t what_fd = ~0u, target_fd = 0, attach_type = 0, flags = 0;
};

// A bpf(2) call that fails at once, in its own way, when the filter lets it go.
long link_create(uint32_t attach_type) {
  LinkAttr attr{.attach_type = attach_type};
  return ::syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)) == 0 ? 0 : errno;
}

// Runs `body` in a child under the filter; its return value, at most 255, is the exit code.
class Filtered {
 public:
  explicit Filtered(const std::function<int()>& body) {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    const auto filter = notify_filter();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      const int listener = install_notify_filter(filter);
      if (listener < 0 || !send_with_fd(pair[1], "L", listener)) ::_exit(77);
      ::close(listener);
      char go;
      if (::read(pair[1], &go, 1) != 1) ::_exit(77);
      ::_exit(body());
    }
    ::close(pair[1]);
    socket_ = UniqueFd(pair[0]);
    char letter;
    if (receive_with_fd(socket_.get(), &letter, 1, &listener_) != 1) listener_.reset();
  }
  ~Filtered() {
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
  }
  UniqueFd& listener() { return listener_; }
  void go() { (void)!::write(socket_.get(), "g", 1); }
  int end() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd socket_, listener_;
};

struct Receiver {
  std::atomic<int> calls{0};
  std::atomic<uint64_t> id{0};
  bool takes = true;
  static bool hand_over(void* receiver, const AttachCall& call) {
    auto* self = static_cast<Receiver*>(receiver);
    self->id = call.id;
    ++self->calls;
    return self->takes;
  }
};

#define NEEDS_FILTER(child) \
  if (!(child).listener()) GTEST_SKIP() << "this machine allows no seccomp filter with a listener"

TEST(AttachGate, CallsThatAttachNoSchedulerGoOnAtOnce) {
  Filtered child([] { return link_create(BPF_TRACE_FENTRY) == ENOSYS ? 1 : 0; });
  NEEDS_FILTER(child);
  Receiver receiver;
  AttachGate gate;
  ASSERT_TRUE(gate.start(std::move(child.listener()), {.hand_over = &Receiver::hand_over,
                                                       .receiver = &receiver,
                                                       .answer_limit_ns = kLong,
                                                       .real_time = false}));
  child.go();
  EXPECT_EQ(child.end(), 0);
  EXPECT_EQ(receiver.calls, 0);
}

TEST(AttachGate, AnAttachWaitsUntilTheAttachIsOver) {
  Filtered child([] { return link_create(kStructOps) == ENOSYS ? 1 : 0; });
  NEEDS_FILTER(child);
  Receiver receiver;
  AttachGate gate;
  ASSERT_TRUE(gate.start(std::move(child.listener()), {.hand_over = &Receiver::hand_over,
                                                       .receiver = &receiver,
                                                       .answer_limit_ns = kLong,
                                                       .real_time = false}));
  child.go();
  while (receiver.calls == 0) std::this_thread::yield();
  gate.attach_over();  // nobody has answered: it goes on all the same
  EXPECT_EQ(child.end(), 0);
  EXPECT_FALSE(gate.was_late());
}

TEST(AttachGate, AfterTheAttachNothingIsHandedOver) {
  Filtered child([] {
    for (int i = 0; i < 1000; ++i)
      if (link_create(kStructOps) == ENOSYS) return 1;
    return 0;
  });
  NEEDS_FILTER(child);
  Receiver receiver;
  AttachGate gate;
  ASSERT_TRUE(gate.start(std::move(child.listener()), {.hand_over = &Receiver::hand_over,
                                                       .receiver = &receiver,
                                                       .answer_limit_ns = kLong,
                                                       .real_time = false}));
  gate.attach_over();
  child.go();
  EXPECT_EQ(child.end(), 0);
  EXPECT_EQ(receiver.calls, 0);
}

TEST(AttachGate, AReceiverThatDoesNotAnswerHoldsTheCallForItsLimitOnly) {
  Filtered child([] { return link_create(kStructOps) == ENOSYS ? 1 : 0; });
  NEEDS_FILTER(child);
  Receiver receiver;
  AttachGate gate;
  ASSERT_TRUE(gate.start(std::move(child.listener()), {.hand_over = &Receiver::hand_over,
                                                       .receiver = &receiver,
                                                       .answer_limit_ns = 50 * kMs,
                                                       .real_time = false}));
  child.go();
  EXPECT_EQ(child.end(), 0);
  EXPECT_EQ(receiver.calls, 1);
  EXPECT_TRUE(gate.was_late());
}

TEST(AttachGate, OneThatCannotTakeTheCallHoldsNothing) {
  Filtered child([] { return link_create(kStructOps) == ENOSYS ? 1 : 0; });
  NEEDS_FILTER(child);
  Receiver receiver{.takes = false};
  AttachGate gate;
  ASSERT_TRUE(gate.start(std::move(child.listener()), {.hand_over = &Receiver::hand_over,
                                                       .receiver = &receiver,
                                                       .answer_limit_ns = kLong,
                                                       .real_time = false}));
  child.go();
  EXPECT_EQ(child.end(), 0);
  EXPECT_FALSE(gate.was_late());
}

TEST(AttachGate, MapUpdatesAreNotCaught) {
  Filtered child([] {
    LinkAttr attr{};
    // Nobody listens any more: a caught call would fail with ENOSYS.
    return ::syscall(__NR_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)) == 0 || errno == ENOSYS ? 1 : 0;
  });
  NEEDS_FILTER(child);
  child.listener().reset();
  child.go();
  EXPECT_EQ(child.end(), 0);
}

}  // namespace
}  // namespace ktstr::guest
