// Reads events.ktlog, also while it is being written.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/envelope.h"

namespace ktstr {

class LogReader {
 public:
  // Errors: not there, not a log (foreign magic), a newer format version.
  static Result<LogReader> open(const std::string& path);

  // The next event; nullopt at the end, where `damage()` tells a clean end from a torn or damaged one. While a
  // writer lives, the end may move: call again. After damage other than a torn tail it stays at the end.
  Result<std::optional<EventBuffer>> next();

  // Goes to a record that was read before: `offset` as offset() told it then, with `events` before it.
  void seek(uint64_t offset, uint64_t events);

  // Empty after a clean end; else one line: what is wrong, at which offset, how many events are before it.
  std::string damage() const;
  uint64_t offset() const { return offset_; }
  uint64_t events() const { return events_; }

 private:
  LogReader(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  bool fill(size_t need);

  UniqueFd fd_;
  std::string path_;
  std::vector<uint8_t> buffer_;  // read ahead: bytes [offset_, offset_ + avail)
  size_t begin_ = 0, end_ = 0;
  uint64_t offset_ = 0;  // of the next record
  uint64_t events_ = 0;
  std::string torn_;    // the current end lies inside a record
  std::string broken_;  // permanent damage
};

}  // namespace ktstr
