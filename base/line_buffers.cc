#include "base/line_buffers.h"

namespace ktstr {

void TailBuffer::push(std::string_view line) {
  ++total_;
  if (limit_ == 0) return;
  line = line.substr(0, kMaxKeptLineBytes);
  if (ring_.size() < limit_) {
    ring_.emplace_back(line);
    return;
  }
  ring_[next_].assign(line);  // reuses the old line's memory
  next_ = (next_ + 1) % limit_;
}

std::vector<std::string_view> TailBuffer::lines() const {
  std::vector<std::string_view> out;
  out.reserve(ring_.size());
  for (size_t i = 0; i < ring_.size(); ++i) out.emplace_back(ring_[(next_ + i) % ring_.size()]);
  return out;
}

void HeadTail::push(std::string line) {
  ++total_;
  if (line.size() > kMaxKeptLineBytes) {
    line.resize(kMaxKeptLineBytes);
    line.shrink_to_fit();
  }
  if (!head_full_) {
    head_full_ = head_.size() >= limits_.head_lines || head_bytes_ + line.size() > limits_.head_bytes;
    if (!head_full_) {
      head_bytes_ += line.size();
      head_.push_back(std::move(line));
      return;
    }
  }
  tail_bytes_ += line.size();
  tail_.push_back(std::move(line));
  while (!tail_.empty() && (tail_.size() > limits_.tail_lines || tail_bytes_ > limits_.tail_bytes)) {
    tail_bytes_ -= tail_.front().size();
    tail_.pop_front();
  }
}

}  // namespace ktstr
