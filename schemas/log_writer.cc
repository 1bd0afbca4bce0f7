#include "schemas/log_writer.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "schemas/log_format.h"

namespace ktstr {
namespace {

Status write_all(int fd, std::vector<iovec>& parts) {
  size_t first = 0;
  while (first < parts.size()) {
    size_t count = std::min<size_t>(parts.size() - first, IOV_MAX);
    ssize_t n = ::writev(fd, &parts[first], static_cast<int>(count));
    if (n < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno("write");
    }
    size_t left = static_cast<size_t>(n);
    while (first < parts.size() && left >= parts[first].iov_len) left -= parts[first++].iov_len;
    if (left > 0) {
      parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + left;
      parts[first].iov_len -= left;
    }
  }
  return {};
}

}  // namespace

Result<LogWriter> LogWriter::create(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
  if (!fd) {
    int err = errno;
    if (err == EEXIST)
      return Error::invalid(path + ": a log stands there already")
          .with_hint("name another folder with --out");
    return Error::from_errno(path + ": create event log", err);
  }
  LogWriter writer(std::move(fd), path);
  LogHeader header{};
  std::memcpy(header.magic, kLogMagic, sizeof header.magic);
  header.format_version = kLogFormatVersion;
  header.schema_version = kSchemaVersion;
  std::vector<iovec> parts{{&header, sizeof header}};
  if (auto s = write_all(writer.fd_.get(), parts); !s) return std::move(s).error().within(path);
  writer.offset_ = sizeof header;
  return writer;
}

Status LogWriter::append(std::span<EventBuffer> batch) {
  if (failed_) return Error::exhausted(path_ + ": the event log takes no more (an earlier write failed)");
  std::vector<RecordHeader> headers(batch.size());
  std::vector<iovec> parts;
  parts.reserve(2 * batch.size());
  uint64_t bytes = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    batch[i].stamp_seq(last_seq_ + 1 + i);
    auto payload = batch[i].bytes();
    headers[i] = {static_cast<uint32_t>(payload.size()), crc32c(payload)};
    parts.push_back({&headers[i], sizeof(RecordHeader)});
    parts.push_back({const_cast<uint8_t*>(payload.data()), payload.size()});
    bytes += sizeof(RecordHeader) + payload.size();
  }
  if (auto s = write_all(fd_.get(), parts); !s) {
    failed_ = true;
    // A part of the batch may be in the file: remove it, so that the log ends with a whole record.
    if (::ftruncate(fd_.get(), static_cast<off_t>(offset_)) != 0) { /* readers stop at the torn record */
    }
    return std::move(s).error().within(path_ + ": append to the event log");
  }
  last_seq_ += batch.size();
  offset_ += bytes;
  return {};
}

}  // namespace ktstr
