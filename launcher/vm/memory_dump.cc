#include "launcher/vm/memory_dump.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/json.h"

namespace ktstr {
namespace {

constexpr uint64_t kForHeaders = 64u << 20;  // beside the memory: headers, and the rest of the run's files
constexpr size_t kHole = 64u << 10;          // zeros of less than that stay
constexpr size_t kStep = 64u << 20;          // bytes looked at in one step

std::string mib(uint64_t bytes) { return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB"; }

Status check_room(const std::string& path, uint64_t ram_bytes) {
  const std::string folder = path.substr(0, path.rfind('/'));
  struct statvfs disk{};
  if (::statvfs(folder.c_str(), &disk) != 0) return Error::from_errno(folder);
  const uint64_t room = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (room >= ram_bytes + kForHeaders) return {};
  return Error::exhausted("the memory dump takes " + mib(ram_bytes + kForHeaders) + ", and " + folder +
                          " has " + mib(room) + " left")
      .with_hint("free some, or name a folder on another disk with --out");
}

bool all_zeros(const uint8_t* data, size_t size) {
  return data[0] == 0 && std::memcmp(data, data + 1, size - 1) == 0;
}

}  // namespace

Result<MemoryDump> MemoryDump::begin(QmpClient& qmp, const std::string& path, uint64_t ram_bytes) {
  if (auto s = check_room(path, ram_bytes); !s) return std::move(s).error();
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return Error::from_errno("the memory dump " + path);
  MemoryDump dump(path, std::move(fd));
  auto passed = qmp.execute("getfd", R"({"fdname": "dump"})", dump.fd_.get());
  // With paging: gdb finds memory by the kernel's addresses, crash by physical ones; the file is no larger.
  auto begun =
      passed ? qmp.execute("dump-guest-memory", R"({"paging": true, "protocol": "fd:dump", "detach": true})")
             : std::move(passed);
  if (begun) return dump;
  dump.discard();
  return std::move(begun).error().within("the memory dump");
}

Status MemoryDump::still_written(QmpClient& qmp) {
  auto answer = qmp.execute("query-dump");
  if (!answer) return std::move(answer).error();
  const Json state = parse_json(*answer);
  const std::string status = state.is_object() ? state.value("status", "") : "";
  if (status == "active") return {};
  if (status != "completed") {
    struct statvfs disk{};
    const bool full =
        ::fstatvfs(fd_.get(), &disk) == 0 && uint64_t{disk.f_bavail} * disk.f_frsize < (1u << 20);
    return full ? Error::exhausted("the disk is full")
                : Error::system("QEMU did not complete it (" + status + ")");
  }
  struct stat st{};
  if (::fstat(fd_.get(), &st) != 0) return Error::from_errno(path_);
  bytes_ = static_cast<uint64_t>(st.st_size);
  written_ = true;
  return {};
}

// What the disk cannot make a hole of stays; that is no failure.
Result<bool> MemoryDump::dig_holes() {
  std::vector<uint8_t> chunk(1u << 20);
  for (size_t looked = 0; looked < kStep && dug_ < bytes_;) {
    const ssize_t n = ::pread(fd_.get(), chunk.data(), chunk.size(), static_cast<off_t>(dug_));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return true;
    const auto size = static_cast<size_t>(n);
    size_t begin = 0;
    for (size_t at = 0; at < size; at += kHole) {
      const size_t piece = std::min(kHole, size - at);
      if (all_zeros(chunk.data() + at, piece)) continue;
      if (at > begin)
        ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(dug_ + begin),
                    static_cast<off_t>(at - begin));
      begin = at + piece;
    }
    if (begin < size)
      ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(dug_ + begin),
                  static_cast<off_t>(size - begin));
    dug_ += size;
    looked += size;
  }
  return dug_ >= bytes_;
}

Result<bool> MemoryDump::step(QmpClient& qmp) {
  if (written_) return dig_holes();
  if (auto s = still_written(qmp); !s) {
    discard();
    return std::move(s).error().within("the memory dump " + path_);
  }
  return false;
}

void MemoryDump::discard() {
  if (fd_) ::unlink(path_.c_str());
  fd_.reset();
}

uint64_t MemoryDump::disk_bytes() const {
  struct stat st{};
  return fd_ && ::fstat(fd_.get(), &st) == 0 ? static_cast<uint64_t>(st.st_blocks) * 512 : 0;
}

}  // namespace ktstr
