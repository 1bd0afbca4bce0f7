// A program's own command-line options, as a Role declares them. CLI11 behind it: its header takes ten seconds to
// compile, so one file includes it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ktstr {

class OptionSet {
 public:
  virtual ~OptionSet() = default;
  // `name`: "--format", or "LOG" for an argument without an option. A value that is set already is the default and
  // is shown in --help; the variable must outlive the parsing.
  virtual void text(const std::string& name, std::string& value, const std::string& help) = 0;
  virtual void texts(const std::string& name, std::vector<std::string>& values, const std::string& help) = 0;
  virtual void count(const std::string& name, uint64_t& value, const std::string& help) = 0;
  // Refused outside of [least, most].
  virtual void number(const std::string& name, double& value, double least, double most,
                      const std::string& help) = 0;
};

}  // namespace ktstr
