#include "guest/init/carrier.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/small_files.h"
#include "base/unique_fd.h"
#include "schemas/channel_frame.h"

namespace ktstr::guest {
namespace {

constexpr char kPorts[] = "/sys/class/virtio-ports";
constexpr char kUartSwitch[] = "ktstr.channel=";
constexpr uint64_t kPortWaitNs = 5 * kSecond;

class FdCarrier : public Carrier {
 public:
  explicit FdCarrier(UniqueFd fd) : fd_(std::move(fd)) {}

  Result<size_t> write(std::span<const uint8_t> bytes) override {
    while (true) {
      ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n >= 0) return static_cast<size_t>(n);
      if (errno == EAGAIN) return size_t{0};
      if (errno != EINTR) return Error::from_errno("event channel: write");
    }
  }

  bool wait_writable(int limit_ms) override {
    pollfd p{fd_.get(), POLLOUT, 0};
    return ::poll(&p, 1, limit_ms) == 1 && (p.revents & POLLOUT) != 0;
  }

 protected:
  UniqueFd fd_;
};

class VirtioCarrier : public FdCarrier {
 public:
  VirtioCarrier(UniqueFd fd, std::string device) : FdCarrier(std::move(fd)), device_(std::move(device)) {}
  std::string name() const override { return "virtserialport " + device_; }

  // The driver does not tell when the host took the last buffer, so the collector answers GuestFinished.
  bool flush(int) override { return false; }
  int input_fd() const override { return fd_.get(); }
  Result<size_t> read(std::span<uint8_t> bytes) override {
    const ssize_t n = ::read(fd_.get(), bytes.data(), bytes.size());
    if (n > 0) return static_cast<size_t>(n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return size_t{0};
    return n == 0 ? Error::system("event channel: the host has gone")
                  : Error::from_errno("event channel: read");
  }

 private:
  std::string device_;
};

class UartCarrier : public FdCarrier {
 public:
  UartCarrier(UniqueFd fd, std::string device) : FdCarrier(std::move(fd)), device_(std::move(device)) {}
  std::string name() const override { return "UART " + device_; }

  bool flush(int limit_ms) override {
    const uint64_t deadline = now_ns() + static_cast<uint64_t>(limit_ms) * kMs;
    int queued = 0;
    // tcdrain has no limit of its own: ask for it only once the queue is empty.
    while (::ioctl(fd_.get(), TIOCOUTQ, &queued) == 0 && queued > 0) {
      if (now_ns() > deadline) return false;
      ::poll(nullptr, 0, 1);
    }
    return ::tcdrain(fd_.get()) == 0;
  }

 private:
  std::string device_;
};

Result<std::unique_ptr<Carrier>> open_uart(const std::string& device) {
  UniqueFd fd(::open(device.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return Error::from_errno("event channel: open " + device);
  serial_struct serial{};
  if (::ioctl(fd.get(), TIOCGSERIAL, &serial) == 0 && serial.type == PORT_UNKNOWN)
    return Error::not_found("event channel: there is no UART behind " + device);
  termios tty{};
  if (::tcgetattr(fd.get(), &tty) != 0) return Error::from_errno("event channel: " + device);
  ::cfmakeraw(&tty);
  ::cfsetspeed(&tty, B115200);
  tty.c_cflag |= CLOCAL;
  ::tcsetattr(fd.get(), TCSANOW, &tty);
  return std::unique_ptr<Carrier>(std::make_unique<UartCarrier>(std::move(fd), device));
}

// Device name of the port with our name, or empty.
std::string find_port() {
  std::string found;
  DIR* dir = ::opendir(kPorts);
  if (!dir) return found;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string port = entry->d_name;
    if (port[0] != '.' && read_text_or(std::string(kPorts) + "/" + port + "/name", "") == kChannelPortName)
      found = "/dev/" + port;
  }
  ::closedir(dir);
  return found;
}

}  // namespace

Result<std::unique_ptr<Carrier>> open_carrier() {
  const std::string cmdline = " " + read_text_or("/proc/cmdline", "");
  if (size_t at = cmdline.find(std::string(" ") + kUartSwitch); at != std::string::npos) {
    at += 1 + sizeof(kUartSwitch) - 1;
    return open_uart("/dev/" + cmdline.substr(at, cmdline.find(' ', at) - at));
  }
  // Without a virtio-serial device the folder does not exist, or stays empty; the driver is built in.
  const uint64_t deadline = now_ns() + kPortWaitNs;
  while (true) {
    const std::string device = find_port();
    if (!device.empty()) {
      UniqueFd fd(::open(device.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
      if (fd) return std::unique_ptr<Carrier>(std::make_unique<VirtioCarrier>(std::move(fd), device));
    }
    if (now_ns() >= deadline) break;
    ::poll(nullptr, 0, 10);
  }
  auto uart = open_uart("/dev/ttyS1");
  if (uart) return uart;
  return Error::not_found(std::string("event channel: no virtserialport named ") + kChannelPortName +
                          ", and " + uart.error().message());
}

}  // namespace ktstr::guest
