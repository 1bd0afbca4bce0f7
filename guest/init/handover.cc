#include "guest/init/handover.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/small_files.h"

namespace ktstr::guest {
namespace {

constexpr size_t kLeastEntropy = 32, kMostEntropy = 512;
constexpr uint64_t kKeptFree = 32u << 20;  // of the memory: the rest may hold files

std::string mib(uint64_t bytes) { return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB"; }

}  // namespace

bool is_plain_path(std::string_view path) {
  return path.size() > 1 && path.size() < 4096 && path[0] == '/' && !path.ends_with('/') &&
         path.find("/../") == std::string_view::npos && !path.ends_with("/..") &&
         path.find('\0') == std::string_view::npos;
}

uint64_t memory_for_files() {
  const std::string info = read_text_or("/proc/meminfo", "");
  const size_t at = info.find("MemAvailable:");
  if (at == std::string::npos) return UINT64_MAX;
  const uint64_t bytes = std::strtoull(info.c_str() + at + 13, nullptr, 10) << 10;
  return bytes > kKeptFree ? bytes - kKeptFree : 0;
}

bool Handover::on_event(const EventBuffer& event) {
  if (over()) return false;
  const Payload type = event.type();
  if (type != Payload::HandoverStarted && type != Payload::FileEmbedded && type != Payload::HandoverFinished)
    return false;
  if (auto taken = take(event); !taken) {
    failure_ = std::move(taken).error().within("the files of the test");
    fd_.reset();
  }
  return true;
}

Status Handover::take(const EventBuffer& event) {
  if (const auto* begun = event.as<HandoverStarted>()) return begin(*begun);
  if (!started_) return Error::invalid("they came before their announcement");
  if (const auto* piece = event.as<FileEmbedded>()) return write(*piece);
  return end(*event.as<HandoverFinished>());
}

Status Handover::begin(const HandoverStarted& begun) {
  if (started_) return Error::invalid("they were announced twice");
  const size_t entropy = begun.entropy() ? begun.entropy()->size() : 0;
  if (entropy < kLeastEntropy || entropy > kMostEntropy)
    return Error::invalid(std::to_string(entropy) + " random bytes came with them");
  if (begun.bytes() > room_)
    return Error::exhausted("they take " + mib(begun.bytes()) + ", and this VM has " + mib(room_) +
                            " for them: give it more memory_mb");
  begun.UnPackTo(&started_.emplace());
  return {};
}

Status Handover::begin_file(const FileEmbedded& piece) {
  if (done_ != size_) return Error::invalid(path_ + " is not whole");
  path_ = str(piece.guest_path());
  if (!is_plain_path(path_)) return Error::invalid("\"" + path_ + "\" is no path for a file in the guest");
  if (piece.size() > started_->bytes - bytes_) return Error::invalid("more bytes come than were announced");
  size_ = piece.size();
  done_ = 0;
  const std::string full = root_ + path_;
  std::error_code ec;
  std::filesystem::create_directories(std::filesystem::path(full).parent_path(), ec);
  ::unlink(full.c_str());
  fd_ = UniqueFd(::open(full.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd_ || ::fchmod(fd_.get(), piece.mode() & 07777) != 0) return Error::from_errno(path_);
  return {};
}

Status Handover::write(const FileEmbedded& piece) {
  if (piece.offset() == 0)
    if (auto begun = begin_file(piece); !begun) return begun;
  const uint64_t size = piece.data() ? piece.data()->size() : 0;
  if (!fd_ || str(piece.guest_path()) != path_ || piece.offset() != done_ || size > size_ - done_)
    return Error::invalid("a piece of " + path_ + " is missing");
  for (uint64_t out = 0; out < size;) {
    const ssize_t n = ::write(fd_.get(), piece.data()->data() + out, size - out);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error::from_errno(path_);
    out += static_cast<uint64_t>(n);
  }
  done_ += size;
  bytes_ += size;
  if (done_ < size_) return {};
  ++files_;
  fd_.reset();  // what is open for writing cannot be run
  return {};
}

Status Handover::end(const HandoverFinished& end) {
  if (fd_) return Error::invalid(path_ + " is not whole");
  if (files_ != started_->files || files_ != end.files() || bytes_ != started_->bytes ||
      bytes_ != end.bytes())
    return Error::invalid(std::to_string(files_) + " files with " + std::to_string(bytes_) +
                          " bytes came, announced were " + std::to_string(started_->files) + " with " +
                          std::to_string(started_->bytes));
  finished_ = true;
  return {};
}

}  // namespace ktstr::guest
