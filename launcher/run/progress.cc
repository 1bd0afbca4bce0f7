#include "launcher/run/progress.h"

#include <poll.h>

#include "base/text.h"

namespace ktstr {
namespace {

constexpr int kReaderLimitMs = 1000;

}  // namespace

void PatientOutput::print(const std::string& text) {
  // A reader that let one line wait for so long is not waited for again until it reads.
  pollfd out{::fileno(out_), POLLOUT, 0};
  if (::poll(&out, 1, dropped_ > 0 ? 0 : kReaderLimitMs) == 0) {
    ++dropped_;
    return;
  }
  if (dropped_ > 0) std::fprintf(out_, "(%zu lines were not shown: nobody read them)\n", dropped_);
  dropped_ = 0;
  std::fputs(text.c_str(), out_);
  std::fflush(out_);
}

void LineProgress::step(const std::string& text) {
  if (quiet_ || text == last_) return;
  last_ = text;
  const std::string safe = printable(text);
  drawn_ = drawn_ || terminal_;
  out_.print(terminal_ ? "\r\x1b[K" + safe.substr(0, 100) : safe + "\n");
}

void LineProgress::say(const std::string& text) {
  clear();
  out_.print(printable(text) + "\n");
}

void LineProgress::clear() {
  if (drawn_) out_.print("\r\x1b[K");
  drawn_ = false;
}

}  // namespace ktstr
