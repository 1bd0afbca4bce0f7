// The work of this VM as it comes over the channel: HandoverStarted, the files of the test in pieces (FileEmbedded; the plan
// is one of them), HandoverFinished. Each frame has a checksum; here each file must be whole, and as many must come as were
// announced. It does nothing to the guest but write files: guest_run acts upon started().
//
// The guest waits for it after its boot, or where a template was saved: whatever is the same for every test is done before.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "schemas/envelope.h"
#include "schemas/run_generated.h"

namespace ktstr::guest {

class Handover {
 public:
  // `root`: prefix of every path, `room`: bytes that the files may take; both for tests.
  explicit Handover(std::string root = {}, uint64_t room = UINT64_MAX)
      : root_(std::move(root)), room_(room) {}

  // False: the event is no part of it. Once it is finished or has failed, nothing is.
  bool on_event(const EventBuffer& event);
  const std::optional<HandoverStartedT>& started() const { return started_; }
  bool finished() const { return finished_; }
  const Status& failure() const { return failure_; }
  bool over() const { return finished_ || !failure_.ok(); }

 private:
  Status take(const EventBuffer& event);
  Status begin(const HandoverStarted& begun);
  Status end(const HandoverFinished& end);
  Status write(const FileEmbedded& piece);
  Status begin_file(const FileEmbedded& piece);

  std::string root_;
  uint64_t room_;
  std::optional<HandoverStartedT> started_;
  bool finished_ = false;
  Status failure_;
  uint32_t files_ = 0;  // whole ones
  uint64_t bytes_ = 0;
  std::string path_;  // of the file in hand
  uint64_t size_ = 0, done_ = 0;
  UniqueFd fd_;
};

// Absolute, names a file, nothing in it that leads elsewhere.
bool is_plain_path(std::string_view path);

// Bytes that files may take of this guest's memory now.
uint64_t memory_for_files();

}  // namespace ktstr::guest
