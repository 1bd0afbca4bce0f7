// Bounded stores of text lines: a report prints the end of a console, or the two ends of a long log, so no
// more than that is ever kept, whatever the guest sends.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

// Longer lines are cut when stored: one line never costs more than this.
inline constexpr size_t kMaxKeptLineBytes = 16 << 10;

// The last `limit` lines.
class TailBuffer {
 public:
  explicit TailBuffer(size_t limit) : limit_(limit) {}

  void push(std::string_view line);
  // Oldest first.
  std::vector<std::string_view> lines() const;
  uint64_t total() const { return total_; }
  bool empty() const { return total_ == 0; }

 private:
  size_t limit_;
  std::vector<std::string> ring_;
  size_t next_ = 0;  // place of the oldest line once the ring is full
  uint64_t total_ = 0;
};

// The first lines and the last lines; how many between them were let go.
class HeadTail {
 public:
  struct Limits {
    size_t head_lines = 0;
    size_t tail_lines = 0;
    size_t head_bytes = 4 << 20;
    size_t tail_bytes = 4 << 20;
  };
  explicit HeadTail(Limits limits) : limits_(limits) {}

  void push(std::string line);
  const std::vector<std::string>& head() const { return head_; }
  const std::deque<std::string>& tail() const { return tail_; }
  // Lines between head and tail that are not kept.
  uint64_t left_out() const { return total_ - head_.size() - tail_.size(); }
  uint64_t total() const { return total_; }
  bool empty() const { return total_ == 0; }

 private:
  Limits limits_;
  std::vector<std::string> head_;
  std::deque<std::string> tail_;
  size_t head_bytes_ = 0;
  size_t tail_bytes_ = 0;
  bool head_full_ = false;
  uint64_t total_ = 0;
};

}  // namespace ktstr
