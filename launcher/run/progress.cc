#include "launcher/run/progress.h"

#include "base/text.h"

namespace ktstr {

void Progress::step(const std::string& text) {
  if (quiet_ || text == last_) return;
  last_ = text;
  std::string safe = printable(text);
  if (terminal_) {
    std::fprintf(out_, "\r\x1b[K%.*s", 100, safe.c_str());
    drawn_ = true;
  } else {
    std::fprintf(out_, "%s\n", safe.c_str());
  }
  std::fflush(out_);
}

void Progress::say(const std::string& text) {
  clear();
  std::fprintf(out_, "%s\n", printable(text).c_str());
  std::fflush(out_);
}

void Progress::clear() {
  if (drawn_) std::fprintf(out_, "\r\x1b[K");
  drawn_ = false;
  std::fflush(out_);
}

}  // namespace ktstr
