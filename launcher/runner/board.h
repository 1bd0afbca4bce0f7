// What people see while several tests run at once: on a terminal one live line for each of them below what was said,
// elsewhere (CI) plain lines.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>

#include "launcher/run/progress.h"

namespace ktstr {

class RunBoard {
 public:
  struct Options {
    bool terminal = false;
    bool quiet = false;
    size_t columns = 100;  // of the terminal
  };
  RunBoard(std::FILE* out, Options options) : out_(out), options_(options) {}
  ~RunBoard() { take_down(); }

  // A test's line. `step` of a test that is not there adds it.
  void step(size_t test, const std::string& text, uint64_t now_ns);
  void remove(size_t test);
  // A line that stays, above the live ones.
  void say(const std::string& text);
  // Draws the live lines again: their clocks have moved on. REQUIRES: nothing else printed since.
  void tick(uint64_t now_ns);
  // Takes the live lines away, before something else prints; the next step or tick draws them again.
  void take_down();

 private:
  struct Line {
    uint64_t start_ns = 0;
    std::string text;
  };
  void draw(uint64_t now_ns);

  PatientOutput out_;
  Options options_;
  std::map<size_t, Line> lines_;
  size_t drawn_ = 0;
};

}  // namespace ktstr
