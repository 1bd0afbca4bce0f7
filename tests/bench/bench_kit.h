// What the benchmarks share: a clock, a folder, and bars that decide the exit code.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/envelope.h"

namespace ktstr::bench {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// A new folder under $KTSTR_BENCH_DIR, else /tmp; removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Prints "ok|FAIL  what: value (bar)"; remembers a failure.
class Bars {
 public:
  void at_least(const std::string& what, double value, double bar);
  void at_most(const std::string& what, double value, double bar);
  int exit_code() const { return failed_ ? 1 : 0; }

 private:
  void say(const std::string& what, double value, const char* sign, double bar, bool good);
  bool failed_ = false;
};

double median(std::vector<double> values);

// An event of about 256 bytes on the wire, as a monitor's or collector's line is.
EventBuffer event_of_256_bytes(const std::string& run_id, uint64_t number);

}  // namespace ktstr::bench
