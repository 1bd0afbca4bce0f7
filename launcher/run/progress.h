// What people see on stderr while a run goes on: one line redrawn on a terminal, plain lines elsewhere (CI).
// Where nobody reads (a full pipe, a terminal that was stopped), a line is dropped and counted after a second: the run goes on and
// hears signals. The next line that is taken says how many are missing.
#pragma once

#include <cstdio>
#include <string>

namespace ktstr {

// Of one test, as its run sees it.
class Progress {
 public:
  virtual ~Progress() = default;
  // A step of the work in hand: replaces the line on a terminal, a line of its own elsewhere.
  virtual void step(const std::string& text) = 0;
  // A line that stays.
  virtual void say(const std::string& text) = 0;
  // Takes the redrawn line away, before something else prints.
  virtual void clear() = 0;
};

// A stream that nobody may be reading.
class PatientOutput {
 public:
  explicit PatientOutput(std::FILE* out) : out_(out) {}
  // As it is.
  void print(const std::string& text);

 private:
  std::FILE* out_;
  size_t dropped_ = 0;
};

class LineProgress : public Progress {
 public:
  // `terminal`: redraw one line. `quiet`: nothing but say().
  LineProgress(std::FILE* out, bool terminal, bool quiet) : out_(out), terminal_(terminal), quiet_(quiet) {}
  ~LineProgress() override { LineProgress::clear(); }

  void step(const std::string& text) override;
  void say(const std::string& text) override;
  void clear() override;

 private:
  PatientOutput out_;
  bool terminal_, quiet_;
  bool drawn_ = false;
  std::string last_;
};

}  // namespace ktstr
