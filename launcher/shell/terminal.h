// The user's terminal while a guest's shell has it: every key goes to the guest.
#pragma once

#include <termios.h>

#include <cstdint>

#include "base/result.h"

namespace ktstr {

struct TerminalSize {
  uint16_t rows = 0, cols = 0;  // 0: not known
  bool operator==(const TerminalSize&) const = default;
};
TerminalSize terminal_size(int fd);

class RawTerminal {
 public:
  // `fd`: the terminal, which must stay open.
  static Result<RawTerminal> enter(int fd);
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&&) = delete;
  // Leaves.
  ~RawTerminal();

  // As it was before. Also after somebody else changed it.
  void leave();
  // Raw again, after leave(), or when the process was stopped and its shell has put the terminal in order.
  void reenter();

 private:
  RawTerminal(int fd, const termios& before) : fd_(fd), before_(before) {}

  int fd_;  // -1: moved from
  termios before_;
};

// Where three Ctrl-] within a second end the VM, whatever the guest does. They go to the guest as well.
class EscapeWatch {
 public:
  static constexpr char kKey = 0x1d;
  static constexpr int kTimes = 3;

  // True: the user has asked.
  bool look(char key, uint64_t now_ns);

 private:
  int seen_ = 0;
  uint64_t first_ns_ = 0;
};

}  // namespace ktstr
