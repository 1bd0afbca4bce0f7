// Appends events to events.ktlog. One writer a file: the hub.
//
// Each append is one write(2) of whole records, so a killed process leaves at most one torn record, at the end.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/envelope.h"

namespace ktstr {

class LogWriter {
 public:
  // Creates the file (0600) with its header. kInvalid if it exists already: a log is never overwritten.
  static Result<LogWriter> create(const std::string& path);

  // Gives each event the next seq, and writes them. On error nothing of the batch counts: the file is cut back to
  // its last whole record and the writer refuses further appends (kExhausted for a full disk).
  Status append(std::span<EventBuffer> batch);

  uint64_t last_seq() const { return last_seq_; }
  uint64_t bytes() const { return offset_; }
  const std::string& path() const { return path_; }

 private:
  LogWriter(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
  uint64_t last_seq_ = 0;
  uint64_t offset_ = 0;
  bool failed_ = false;
};

}  // namespace ktstr
