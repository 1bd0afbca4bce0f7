#include "guest/init/attach_gate.h"

#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "guest/init/own_class.h"

namespace ktstr::guest {
namespace {

constexpr uint32_t kStructOps = 44;  // BPF_STRUCT_OPS as attach type of a link
constexpr size_t kStackBytes = 128 * 1024;

// The attach type in bpf(2)'s attr of BPF_LINK_CREATE; nullopt when the memory cannot be read.
std::optional<uint32_t> attach_type(const AttachCall& call) {
  struct {
    uint32_t what_fd, target_fd, attach_type;
  } link{};
  if (call.size < sizeof(link)) return std::nullopt;
  iovec local{&link, sizeof(link)}, remote{reinterpret_cast<void*>(call.attr), sizeof(link)};
  if (::process_vm_readv(static_cast<pid_t>(call.pid), &local, 1, &remote, 1, 0) !=
      static_cast<ssize_t>(sizeof(link)))
    return std::nullopt;
  return link.attach_type;
}

}  // namespace

AttachGate::~AttachGate() {
  if (!started_) return;
  ending_.store(true);
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
  ::pthread_join(thread_, nullptr);
}

Status AttachGate::start(UniqueFd listener, const Options& options) {
  options_ = options;
  listener_ = std::move(listener);
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return Error::from_errno("attach gate");
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, kStackBytes);
  sched_param priority{};
  priority.sched_priority = 99;
  if (options.real_time) {
    // Set before its first instruction: it never belongs to the scheduler under test.
    ::pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    ::pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    ::pthread_attr_setschedparam(&attributes, &priority);
  }
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = ::pthread_create(&thread_, &attributes, &AttachGate::thread_main, this);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::pthread_attr_destroy(&attributes);
  if (error != 0) return Error::from_errno("attach gate: thread", error);
  ::pthread_setname_np(thread_, "ktstr-gate");
  started_ = true;
  return {};
}

void AttachGate::attach_over() {
  catching_.store(false);
  std::lock_guard lock(mutex_);
  if (pending_) let_go(*pending_);
  pending_.reset();
}

void* AttachGate::thread_main(void* gate) {
  static_cast<AttachGate*>(gate)->serve();
  return nullptr;
}

void AttachGate::serve() {
  while (!ending_.load()) {
    pollfd fds[2] = {{listener_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (::poll(fds, 2, wait_ms()) < 0 && errno != EINTR) return;
    let_go_expired();
    if (fds[0].revents & POLLIN)
      take_one();
    else if (fds[0].revents != 0)
      return;  // the last process under the filter has ended
  }
}

void AttachGate::take_one() {
  // The kernel may know larger records than these headers: the spare room keeps it from writing past them.
  alignas(8) char room[sizeof(seccomp_notif) + 256];
  std::memset(room, 0, sizeof(room));
  auto* request = reinterpret_cast<seccomp_notif*>(room);
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_RECV, request) != 0) return;
  const AttachCall call{.pid = request->pid,
                        .id = request->id,
                        .attr = request->data.args[1],
                        .size = request->data.args[2] & 0xffffffff};
  if (catching_.load() && options_.hand_over && attach_type(call) == kStructOps) {
    std::lock_guard lock(mutex_);
    // One at a time; again, since attach_over() may have come between.
    if (!pending_ && catching_.load()) {
      pending_ = call.id;
      pending_since_ns_ = now_ns();
      if (options_.hand_over(options_.receiver, call)) return;
      pending_.reset();
    }
  }
  let_go(call.id);
}

void AttachGate::let_go_expired() {
  std::lock_guard lock(mutex_);
  if (!pending_) return;
  // ENOENT: it was answered, or its caller is gone.
  if (::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &*pending_) != 0) {
    pending_.reset();
  } else if (now_ns() - pending_since_ns_ >= options_.answer_limit_ns) {
    late_.store(true);
    let_go(*pending_);
    pending_.reset();
  }
}

// Until the call that waits has waited too long; without one, for ever.
int AttachGate::wait_ms() {
  std::lock_guard lock(mutex_);
  if (!pending_) return -1;
  const uint64_t end = pending_since_ns_ + options_.answer_limit_ns, now = now_ns();
  return end <= now ? 0 : static_cast<int>(std::min<uint64_t>((end - now) / kMs + 1, 60'000));
}

void AttachGate::let_go(uint64_t id) const {
  seccomp_notif_resp answer{};
  answer.id = id;
  answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ::ioctl(listener_.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer);  // ENOENT: the caller died meanwhile
}

}  // namespace ktstr::guest
