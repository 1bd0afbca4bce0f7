#include "schemas/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "schemas/log_format.h"

namespace ktstr {
namespace {

constexpr size_t kReadAhead = 1u << 20;

}  // namespace

Result<LogReader> LogReader::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno(path + ": open event log");
  struct stat st{};
  if (::fstat(fd.get(), &st) == 0 && S_ISDIR(st.st_mode))
    return Error::invalid(path + ": a directory, not an event log")
        .with_hint("name the events.ktlog file in it");
  LogReader reader(std::move(fd), path);
  LogHeader header{};
  if (!reader.fill(sizeof header))
    return Error::invalid(path + ": not an event log: " + std::to_string(reader.end_ - reader.begin_) +
                          " bytes, the header alone has " + std::to_string(sizeof header));
  std::memcpy(&header, reader.buffer_.data() + reader.begin_, sizeof header);
  if (std::memcmp(header.magic, kLogMagic, sizeof header.magic) != 0)
    return Error::invalid(path + ": not an event log (wrong magic at offset 0)");
  if (header.format_version != kLogFormatVersion || header.schema_version > kSchemaVersion)
    return Error::unsupported(path + ": log format " + std::to_string(header.format_version) + ", schema " +
                              std::to_string(header.schema_version) + "; this ktstr reads format " +
                              std::to_string(kLogFormatVersion) + ", schema up to " +
                              std::to_string(kSchemaVersion))
        .with_hint("read it with the ktstr that wrote it, or a newer one");
  reader.begin_ += sizeof header;
  reader.offset_ = sizeof header;
  return reader;
}

bool LogReader::fill(size_t need) {
  while (end_ - begin_ < need) {
    if (begin_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (buffer_.size() < std::max(need, kReadAhead)) buffer_.resize(std::max(need, kReadAhead));
    ssize_t n = ::read(fd_.get(), buffer_.data() + end_, buffer_.size() - end_);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    end_ += static_cast<size_t>(n);
  }
  return true;
}

Result<std::optional<EventBuffer>> LogReader::next() {
  if (!broken_.empty()) return std::optional<EventBuffer>();
  torn_.clear();
  auto broken = [&](const std::string& what) -> std::optional<EventBuffer> {
    broken_ = what;
    return std::nullopt;
  };
  if (!fill(sizeof(RecordHeader))) {
    if (end_ > begin_) torn_ = "ends inside a record's header";
    return std::optional<EventBuffer>();
  }
  RecordHeader header;
  std::memcpy(&header, buffer_.data() + begin_, sizeof header);
  if (header.length < 8 || header.length > kMaxEventBytes)
    return broken("a record claims " + std::to_string(header.length) + " bytes");
  if (!fill(sizeof header + header.length)) {
    torn_ = "ends inside a record of " + std::to_string(header.length) + " bytes";
    return std::optional<EventBuffer>();
  }
  std::span<const uint8_t> payload(buffer_.data() + begin_ + sizeof header, header.length);
  if (crc32c(payload) != header.crc32c) return broken("checksum mismatch");
  auto event = EventBuffer::from_bytes(payload);
  if (!event) return broken(event.error().message());
  begin_ += sizeof header + header.length;
  offset_ += sizeof header + header.length;
  ++events_;
  return std::optional<EventBuffer>(std::move(event).value());
}

void LogReader::seek(uint64_t offset, uint64_t events) {
  begin_ = end_ = 0;
  ::lseek(fd_.get(), static_cast<off_t>(offset), SEEK_SET);
  offset_ = offset;
  events_ = events;
  torn_.clear();
  broken_.clear();
}

std::string LogReader::damage() const {
  const std::string& what = broken_.empty() ? torn_ : broken_;
  if (what.empty()) return "";
  return path_ + ": " + what + " at offset " + std::to_string(offset_) + "; the " + std::to_string(events_) +
         " events before it are used";
}

}  // namespace ktstr
