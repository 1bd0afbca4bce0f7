// An event log of a text: its lines and the crashes found in it, as events of source "import". Other verbs read it as they
// read the log of a run.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "explain/incident.h"
#include "schemas/log_writer.h"

namespace ktstr {

class ImportLog {
 public:
  // `text`: name of the text, for the record. Errors: the file exists, or cannot be written.
  static Result<std::unique_ptr<ImportLog>> create(const std::string& path, const std::string& text);

  void line(std::string_view raw, LineRole role);
  void incident(const Incident& incident);
  Status finish();

 private:
  explicit ImportLog(LogWriter writer) : writer_(std::move(writer)) {}
  template <typename T>
  void add(T payload, uint64_t guest_ns = 0);
  void flush();

  LogWriter writer_;
  std::string run_id_, escapes_;
  std::vector<EventBuffer> batch_;
  Status status_;
};

}  // namespace ktstr
