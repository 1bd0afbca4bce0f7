// Files that are read or written as a whole: those of proc, sysfs, tracefs and cgroupfs, and small ones of our own.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

// Content less trailing white space. A file of more than `limit` bytes is an error (kExhausted).
Result<std::string> read_text(const std::string& path, size_t limit = 64 * 1024);
std::string read_text_or(const std::string& path, std::string fallback);
// One write(2), which is what kernel files expect. The file must exist.
Status write_text(const std::string& path, std::string_view text);
Result<std::string> read_binary(const std::string& path, size_t limit);
// The file is complete or as it was: a new one beside it (PATH.new.PID) takes its name once it is written. An error leaves
// nothing behind.
struct WriteOptions {
  unsigned mode = 0600;  // what a run leaves may hold what its owner alone may read
  bool sync = true;      // to the disk before the rename: it survives a power cut
};
Status write_file_atomically(const std::string& path, std::string_view text, WriteOptions options = {});
// All of it, whatever write(2) takes at once. `what` begins the error.
Status write_all(int fd, std::string_view text, const std::string& what);
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
