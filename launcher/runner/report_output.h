// The reports of a run on stdout. In GitHub's log each is a group, and its text is kept from being taken for workflow commands:
// a line of a scheduler that begins with "::" is text.
#pragma once

#include <string>

namespace ktstr {

class ReportOutput {
 public:
  explicit ReportOutput(bool workflow_groups);

  // Around what somebody else prints.
  void begin(const std::string& title);
  void end();
  // A report that is a file.
  void print(const std::string& title, const std::string& path);

 private:
  std::string token_;  // empty: no groups
};

}  // namespace ktstr
