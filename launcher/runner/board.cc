#include "launcher/runner/board.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/text.h"

namespace ktstr {

void RunBoard::step(size_t test, const std::string& text, uint64_t now_ns) {
  auto [line, is_new] = lines_.try_emplace(test, Line{now_ns, ""});
  if (!is_new && line->second.text == text) return;
  line->second.text = text;
  if (options_.quiet) return;
  if (options_.terminal)
    draw(now_ns);
  else
    out_.print(printable(text) + "\n");
}

void RunBoard::remove(size_t test) {
  take_down();
  lines_.erase(test);
}

void RunBoard::say(const std::string& text) {
  take_down();
  out_.print(printable(text) + "\n");
}

void RunBoard::tick(uint64_t now_ns) {
  if (options_.terminal && !options_.quiet && !lines_.empty()) draw(now_ns);
}

void RunBoard::take_down() {
  if (drawn_ == 0) return;
  std::string text = "\r";
  if (drawn_ > 1) text += fmt::format("\x1b[{}A", drawn_ - 1);
  out_.print(text + "\x1b[J");
  drawn_ = 0;
}

void RunBoard::draw(uint64_t now_ns) {
  std::string text = "\r";
  if (drawn_ > 1) text += fmt::format("\x1b[{}A", drawn_ - 1);
  text += "\x1b[J";
  bool first = true;
  for (const auto& [test, line] : lines_) {
    const uint64_t seconds = (now_ns - std::min(now_ns, line.start_ns)) / kSecond;
    std::string shown = fmt::format("[{:02}:{:02}] ", seconds / 60, seconds % 60) + printable(line.text);
    size_t end = std::min(shown.size(), options_.columns > 1 ? options_.columns - 1 : 1);
    while (end < shown.size() && end > 0 && (static_cast<unsigned char>(shown[end]) & 0xc0) == 0x80) --end;
    text += (first ? "" : "\n") + shown.substr(0, end);
    first = false;
  }
  out_.print(text);
  drawn_ = lines_.size();
}

}  // namespace ktstr
