#include "guest/init/output_reader.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

namespace ktstr::guest {

void OutputReader::start(UniqueFd pipe) {
  pipe_ = std::move(pipe);
  loop_.watch(pipe_.get(), EPOLLIN, [this](uint32_t) { read_some(); });
}

bool OutputReader::read_some() {
  char buffer[16 * 1024];
  ssize_t n = ::read(pipe_.get(), buffer, sizeof(buffer));
  if (n < 0) return false;  // nothing there now
  if (n == 0) {
    close();
    return false;
  }
  last_byte_ns_ = now_ns();
  splitter_.feed(std::string_view(buffer, static_cast<size_t>(n)),
                 [this](std::string_view text, bool truncated) { take_line(text, truncated); });
  return true;
}

void OutputReader::drain(bool last) {
  // Bounded: a surviving child of the program may write without end.
  for (int i = 0; i < 1024 && pipe_ && read_some(); ++i) {
  }
  if (!last) return;
  splitter_.flush([this](std::string_view text, bool truncated) { take_line(text, truncated); });
  let_go();
}

void OutputReader::let_go() {
  for (const Line& line : over_) on_line_(line.text, line.truncated, line.guest_ns);
  over_.clear();
}

void OutputReader::take_line(std::string_view text, bool truncated) {
  const uint64_t second = last_byte_ns_ / kSecond;
  if (second != second_) {
    second_ = second;
    lines_this_second_ = 0;
    let_go();
  }
  if (text.find_first_not_of(" \t") != std::string_view::npos) last_line_ = text.substr(0, 300);
  if (++lines_this_second_ > lines_per_second_) {
    over_.push_back({std::string(text), truncated, last_byte_ns_});
    if (over_.size() <= kLastLines) return;
    over_.pop_front();
    ++dropped_;
    return;
  }
  on_line_(text, truncated, last_byte_ns_);
}

void OutputReader::close() {
  if (!pipe_) return;
  loop_.unwatch(pipe_.get());
  pipe_.reset();
  let_go();
}

}  // namespace ktstr::guest
