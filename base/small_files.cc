#include "base/small_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace ktstr {
namespace {

void trim_end(std::string& text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\0')) text.pop_back();
}

}  // namespace

Result<std::string> read_binary(const std::string& path, size_t limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno("open " + path);
  std::string out;
  char chunk[16 * 1024];
  while (out.size() <= limit) {  // a file of exactly `limit` bytes is read
    ssize_t n = ::read(fd.get(), chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno("read " + path);
    if (n == 0) return out;
    out.append(chunk, static_cast<size_t>(n));
  }
  return Error::exhausted(path + " is larger than " + std::to_string(limit) + " bytes");
}

Result<std::string> read_text(const std::string& path, size_t limit) {
  auto text = read_binary(path, limit);
  if (text) trim_end(*text);
  return text;
}

std::string read_text_or(const std::string& path, std::string fallback) {
  auto text = read_text(path);
  return text ? std::move(*text) : std::move(fallback);
}

Status write_text(const std::string& path, std::string_view text) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno("open " + path);
  if (::write(fd.get(), text.data(), text.size()) < 0)
    return Error::from_errno("write \"" + std::string(text) + "\" to " + path);
  return {};
}

Status write_all(int fd, std::string_view text, const std::string& what) {
  while (!text.empty()) {
    ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno(what);
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status write_file_atomically(const std::string& path, std::string_view text, WriteOptions options) {
  const std::string beside = path + ".new." + std::to_string(::getpid());
  UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, options.mode));
  if (!fd) return Error::from_errno("create " + beside);
  Status status = write_all(fd.get(), text, "write " + beside);
  if (status && options.sync && ::fsync(fd.get()) != 0) status = Error::from_errno("sync " + beside);
  fd.reset();
  if (status && ::rename(beside.c_str(), path.c_str()) != 0)
    status = Error::from_errno("rename " + beside + " to " + path);
  if (!status) ::unlink(beside.c_str());
  return status;
}

bool path_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::optional<std::string> PolledFile::read() {
  if (!fd_) fd_ = UniqueFd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd_) return std::nullopt;
  char buffer[256];
  ssize_t n = ::pread(fd_.get(), buffer, sizeof(buffer), 0);
  if (n < 0) {
    fd_.reset();  // the object behind it went away (ENODEV)
    return std::nullopt;
  }
  std::string text(buffer, static_cast<size_t>(n));
  trim_end(text);
  return text;
}

}  // namespace ktstr
