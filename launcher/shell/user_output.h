// One of the user's output streams, which somebody may read slowly or not at all: bytes wait here instead of holding up signals.
// The stream's own flags stay as they are, because other processes share them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

class UserOutput {
 public:
  explicit UserOutput(int fd);

  void add(std::span<const uint8_t> bytes) { pending_.insert(pending_.end(), bytes.begin(), bytes.end()); }
  // Writes what goes without waiting. An error (the disk is full) or a reader that has gone closes the stream.
  Status pump();
  size_t pending() const { return pending_.size(); }
  // Writable: pump() gets on.
  int fd() const { return own_ ? own_.get() : fd_; }
  bool closed() const { return closed_; }

 private:
  int64_t write_some(std::span<const uint8_t> bytes);

  int fd_;
  UniqueFd own_;  // the same pipe or terminal with flags of our own
  bool file_ = false, socket_ = false, closed_ = false;
  std::vector<uint8_t> pending_;
};

}  // namespace ktstr
