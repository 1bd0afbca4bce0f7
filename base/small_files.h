// Small files of proc, sysfs, tracefs and cgroupfs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

// Content less trailing white space; at most `limit` bytes are read.
Result<std::string> read_text(const std::string& path, size_t limit = 64 * 1024);
std::string read_text_or(const std::string& path, std::string fallback);
// One write(2), which is what kernel files expect. The file must exist.
Status write_text(const std::string& path, std::string_view text);
Result<std::string> read_binary(const std::string& path, size_t limit);
bool path_exists(const std::string& path);

// A kernel file that is read again and again: kept open, read from its start.
class PolledFile {
 public:
  explicit PolledFile(std::string path) : path_(std::move(path)) {}
  // nullopt while the file is not there.
  std::optional<std::string> read();

 private:
  std::string path_;
  UniqueFd fd_;
};

}  // namespace ktstr
