#include "reporter/line_log.h"

#include <string>

namespace ktstr {

void LineLog::push(std::string_view line) {
  ++total_;
  inner_.push(std::string(line.substr(0, kMaxKeptLineBytes)), from_inner_);
  drain_inner();
}

void LineLog::finish() {
  inner_.finish(from_inner_);
  drain_inner();
  outer_.finish(from_outer_);
  for (std::string& line : from_outer_) kept_.push(std::move(line));
  from_outer_.clear();
}

void LineLog::drain_inner() {
  for (std::string& line : from_inner_) outer_.push(std::move(line), from_outer_);
  from_inner_.clear();
  for (std::string& line : from_outer_) kept_.push(std::move(line));
  from_outer_.clear();
}

}  // namespace ktstr
