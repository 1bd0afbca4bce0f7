#include "runtime/push_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace ktstr {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view kScheme = "ipc://";
constexpr milliseconds kHandshakeLimit{20'000};
constexpr size_t kGreeting = 64;
// A flood is this many messages, each within this time of the one before it.
constexpr int kFlood = 32;
constexpr std::chrono::microseconds kCloseTogether{20};

std::string our_words() {
  std::string text(kGreeting, '\0');
  text[0] = '\xff';
  text[9] = '\x7f';
  text[10] = 3;
  text.replace(12, 4, "NULL");
  // READY, Socket-Type = PUSH.
  return text + std::string("\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH", 28);
}

bool wait_for(int fd, short events, steady_clock::time_point until) {
  while (true) {
    auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now()).count();
    pollfd p{fd, events, 0};
    int n = ::poll(&p, 1, static_cast<int>(std::max<int64_t>(0, left)));
    if (n > 0) return true;
    if (n == 0 || errno != EINTR) return false;
  }
}

Status read_exactly(int fd, uint8_t* to, size_t count, steady_clock::time_point until) {
  while (count > 0) {
    if (!wait_for(fd, POLLIN, until)) return Error::timeout("the hub does not answer");
    ssize_t n = ::recv(fd, to, count, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error::system("the hub closed the connection");
    to += n;
    count -= static_cast<size_t>(n);
  }
  return {};
}

}  // namespace

Result<PushSocket> PushSocket::connect(const std::string& endpoint) {
  if (!endpoint.starts_with(kScheme)) return Error::invalid(endpoint + ": not ipc://PATH");
  std::string path = endpoint.substr(kScheme.size());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error::invalid(path + ": too long for a socket");
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno("make a socket");
  int rc;
  while ((rc = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address)) != 0 &&
         errno == EINTR) {
  }
  if (rc != 0) return Error::from_errno("connect to " + path);
  std::string words = our_words();
  if (::send(fd.get(), words.data(), words.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(words.size()))
    return Error::from_errno("greet the hub at " + path);
  // Its greeting and its READY; nothing else ever comes.
  auto until = steady_clock::now() + kHandshakeLimit;
  uint8_t heard[256];
  if (auto s = read_exactly(fd.get(), heard, kGreeting + 2, until); !s)
    return std::move(s).error().within(path);
  if (heard[0] != 0xff || heard[kGreeting] != 4) return Error::system(path + ": no hub is there");
  if (auto s = read_exactly(fd.get(), heard, heard[kGreeting + 1], until); !s)
    return std::move(s).error().within(path);
  return PushSocket(std::move(fd));
}

// Gathers frames while its thread writes those gathered before.
struct PushSocket::Flood {
  explicit Flood(int fd_) : fd(fd_), thread([this] { serve(); }) {}
  ~Flood() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    thread.join();
  }

  Result<bool> add(std::span<const uint8_t> header, std::span<const uint8_t> bytes, milliseconds patience) {
    std::unique_lock lock(mutex);
    auto fits = [&] {
      return failed || gathered.empty() || gathered.size() + header.size() + bytes.size() <= kGather;
    };
    if (!fits() && (patience.count() == 0 || !changed.wait_for(lock, patience, fits))) return false;
    if (failed) return Error::from_errno("the hub is gone", failed);
    bool first = gathered.empty();
    gathered.insert(gathered.end(), header.begin(), header.end());
    gathered.insert(gathered.end(), bytes.begin(), bytes.end());
    lock.unlock();
    if (first) changed.notify_all();
    return true;
  }
  bool empty() {
    std::lock_guard lock(mutex);
    return gathered.empty() && !writing;
  }

  void serve() {
    std::unique_lock lock(mutex);
    std::vector<uint8_t> piece;
    while (true) {
      changed.wait(lock, [&] { return stopping || !gathered.empty(); });
      if (gathered.empty()) return;
      piece.clear();
      piece.swap(gathered);
      writing = true;
      lock.unlock();
      changed.notify_all();
      int error = write_all(piece);
      lock.lock();
      writing = false;
      if (error == 0) continue;
      failed = error;
      gathered.clear();
      changed.notify_all();
      return;
    }
  }

  // 0, or an errno.
  int write_all(std::span<const uint8_t> piece) {
    auto moved = steady_clock::now();
    while (!piece.empty()) {
      ssize_t n = ::send(fd, piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) {
        piece = piece.subspan(static_cast<size_t>(n));
        moved = steady_clock::now();
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return errno;
      wait_for(fd, POLLOUT, steady_clock::now() + milliseconds(100));
      std::lock_guard lock(mutex);
      if (stopping && steady_clock::now() - moved > kLinger) return ETIMEDOUT;
    }
    return 0;
  }

  static constexpr size_t kGather = 256u << 10;
  static constexpr milliseconds kLinger{5000};

  int fd;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<uint8_t> gathered;
  bool writing = false, stopping = false;
  int failed = 0;
  std::thread thread;
};

PushSocket::PushSocket(UniqueFd fd) : fd_(std::move(fd)) {}
PushSocket::PushSocket(PushSocket&&) noexcept = default;
PushSocket::~PushSocket() = default;
PushSocket& PushSocket::operator=(PushSocket&& other) noexcept {
  flood_.reset();  // before the descriptor that it writes to
  fd_ = std::move(other.fd_);
  sent_ = other.sent_;
  last_ = other.last_;
  close_together_ = other.close_together_;
  flood_ = std::move(other.flood_);
  return *this;
}

Result<bool> PushSocket::send(std::span<const uint8_t> bytes, milliseconds patience) {
  uint8_t header[9];
  size_t header_size = 2;
  if (bytes.size() < 256) {
    header[0] = 0;
    header[1] = static_cast<uint8_t>(bytes.size());
  } else {
    header_size = 9;
    header[0] = 2;
    for (size_t i = 0; i < 8; ++i)
      header[1 + i] = static_cast<uint8_t>(uint64_t{bytes.size()} >> (8 * (7 - i)));
  }
  auto now = steady_clock::now();
  close_together_ = now - last_ < kCloseTogether ? close_together_ + 1 : 0;
  last_ = now;
  // Frames that are gathered already go first; one that is half with the kernel is ended there.
  bool gather = sent_ == 0 && (close_together_ >= kFlood || (flood_ && !flood_->empty()));
  if (!gather) return send_now({header, header_size}, bytes, patience);
  if (!flood_) flood_ = std::make_unique<Flood>(fd_.get());
  return flood_->add({header, header_size}, bytes, patience);
}

Result<bool> PushSocket::send_now(std::span<const uint8_t> header, std::span<const uint8_t> bytes,
                                  milliseconds patience) {
  auto until = steady_clock::now() + patience;
  while (true) {
    iovec parts[2] = {{const_cast<uint8_t*>(header.data()), header.size()},
                      {const_cast<uint8_t*>(bytes.data()), bytes.size()}};
    size_t skip = sent_;
    for (iovec& part : parts) {
      size_t cut = std::min(skip, part.iov_len);
      part.iov_base = static_cast<char*>(part.iov_base) + cut;
      part.iov_len -= cut;
      skip -= cut;
    }
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    ssize_t n = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return Error::from_errno("the hub is gone");
    if (n > 0) sent_ += static_cast<size_t>(n);
    if (sent_ == header.size() + bytes.size()) {
      sent_ = 0;
      return true;
    }
    if (n > 0) continue;
    if (patience.count() == 0 || !wait_for(fd_.get(), POLLOUT, until)) return false;
  }
}

}  // namespace ktstr
