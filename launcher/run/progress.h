// What people see on stderr while a run goes on: one line redrawn on a terminal, plain lines elsewhere (CI).
// Where nobody reads (a full pipe, a terminal that was stopped), a line is dropped and counted after a second: the run goes on and
// hears signals. The next line that is taken says how many are missing.
#pragma once

#include <cstdio>
#include <string>

namespace ktstr {

class Progress {
 public:
  // `terminal`: redraw one line. `quiet`: nothing but say().
  Progress(std::FILE* out, bool terminal, bool quiet) : out_(out), terminal_(terminal), quiet_(quiet) {}
  ~Progress() { clear(); }

  // A step of the work in hand: replaces the line on a terminal, a line of its own elsewhere.
  void step(const std::string& text);
  // A line that stays.
  void say(const std::string& text);
  // Takes the redrawn line away, before something else prints.
  void clear();

 private:
  void print(const std::string& text);

  std::FILE* out_;
  bool terminal_, quiet_;
  bool drawn_ = false;
  std::string last_;
  size_t dropped_ = 0;
};

}  // namespace ktstr
