#include "launcher/shell/terminal.h"

#include <sys/ioctl.h>

#include <utility>

#include "base/clock.h"

namespace ktstr {

TerminalSize terminal_size(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0) return {};
  return {.rows = size.ws_row, .cols = size.ws_col};
}

Result<RawTerminal> RawTerminal::enter(int fd) {
  termios before{};
  if (::tcgetattr(fd, &before) != 0) return Error::from_errno("the terminal");
  RawTerminal terminal(fd, before);
  terminal.reenter();
  return terminal;
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), before_(other.before_) {}

RawTerminal::~RawTerminal() { leave(); }

void RawTerminal::leave() {
  if (fd_ >= 0) ::tcsetattr(fd_, TCSANOW, &before_);
}

void RawTerminal::reenter() {
  termios raw = before_;
  ::cfmakeraw(&raw);
  if (fd_ >= 0) ::tcsetattr(fd_, TCSANOW, &raw);
}

bool EscapeWatch::look(char key, uint64_t now_ns) {
  if (key != kKey) {
    seen_ = 0;
    return false;
  }
  if (seen_ == 0 || now_ns - first_ns_ > kSecond) {
    seen_ = 0;
    first_ns_ = now_ns;
  }
  return ++seen_ == kTimes;
}

}  // namespace ktstr
