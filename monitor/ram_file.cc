#include "monitor/ram_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/unique_fd.h"

namespace ktstr {
namespace {

constexpr uint64_t kFourGiB = 1ull << 32;

std::vector<ByteRange> ranges_of(int fd, uint64_t size) {
  std::vector<ByteRange> out;
  off_t at = 0;
  while (static_cast<uint64_t>(at) < size) {
    const off_t data = ::lseek(fd, at, SEEK_DATA);
    if (data < 0) {
      // ENXIO: only a hole is left. Anything else: a file system without SEEK_DATA, all of it counts.
      if (errno != ENXIO) out.push_back({static_cast<uint64_t>(at), size});
      break;
    }
    off_t hole = ::lseek(fd, data, SEEK_HOLE);
    if (hole <= data) hole = static_cast<off_t>(size);
    out.push_back({static_cast<uint64_t>(data), std::min<uint64_t>(hole, size)});
    at = hole;
  }
  return out;
}

class MappedRam : public RamFile {
 public:
  MappedRam(UniqueFd fd, const uint8_t* base, uint64_t size) : fd_(std::move(fd)), base_(base), size_(size) {}
  ~MappedRam() override { ::munmap(const_cast<uint8_t*>(base_), size_); }
  MappedRam(const MappedRam&) = delete;
  MappedRam& operator=(const MappedRam&) = delete;

  uint64_t size() const override { return size_; }
  bool read(uint64_t offset, void* out, size_t size) const override {
    if (offset > size_ || size > size_ - offset) return false;
    std::memcpy(out, base_ + offset, size);
    return true;
  }
  std::vector<ByteRange> data_ranges() const override { return ranges_of(fd_.get(), size_); }

 private:
  UniqueFd fd_;
  const uint8_t* base_;
  uint64_t size_;
};

class PreadRam : public RamFile {
 public:
  PreadRam(UniqueFd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}

  uint64_t size() const override { return size_; }
  bool read(uint64_t offset, void* out, size_t size) const override {
    if (offset > size_ || size > size_ - offset) return false;
    auto* to = static_cast<uint8_t*>(out);
    while (size > 0) {
      const ssize_t n = ::pread(fd_.get(), to, size, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      to += n;
      offset += static_cast<uint64_t>(n);
      size -= static_cast<size_t>(n);
    }
    return true;
  }
  std::vector<ByteRange> data_ranges() const override { return ranges_of(fd_.get(), size_); }

 private:
  UniqueFd fd_;
  uint64_t size_;
};

}  // namespace

Result<std::unique_ptr<RamFile>> open_ram_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno("open guest RAM " + path);
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return Error::from_errno("guest RAM " + path);
  if (st.st_size <= 0) return Error::invalid("guest RAM " + path + ": the file is empty");
  const auto size = static_cast<uint64_t>(st.st_size);

  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0) {
    void* base = ::mmap(nullptr, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
    if (base != MAP_FAILED) {
      // Reads are scattered: no read-ahead, which would fill holes of the guest's memory.
      ::madvise(base, size, MADV_RANDOM);
      return std::unique_ptr<RamFile>(new MappedRam(std::move(fd), static_cast<const uint8_t*>(base), size));
    }
  }
  return std::unique_ptr<RamFile>(new PreadRam(std::move(fd), size));
}

RamLayout RamLayout::q35(uint64_t bytes) { return {bytes, bytes >= 0xb0000000u ? 0x80000000u : bytes}; }

PhysicalMemory::PhysicalMemory(const RamFile& ram, RamLayout layout) : ram_(ram) {
  const uint64_t bytes = std::min(layout.bytes ? layout.bytes : ram.size(), ram.size());
  lowmem_ = std::min(layout.lowmem ? layout.lowmem : bytes, std::min(bytes, kFourGiB));
  high_bytes_ = bytes - lowmem_;
  end_ = high_bytes_ ? kFourGiB + high_bytes_ : lowmem_;
}

bool PhysicalMemory::read(uint64_t gpa, void* out, size_t size) const {
  if (gpa < lowmem_) return size <= lowmem_ - gpa && ram_.read(gpa, out, size);
  if (gpa < kFourGiB) return false;
  const uint64_t high = gpa - kFourGiB;
  return high < high_bytes_ && size <= high_bytes_ - high && ram_.read(lowmem_ + high, out, size);
}

std::optional<uint64_t> PhysicalMemory::offset_of(uint64_t gpa) const {
  if (gpa < lowmem_) return gpa;
  if (gpa < kFourGiB || gpa - kFourGiB >= high_bytes_) return std::nullopt;
  return gpa - kFourGiB + lowmem_;
}

uint64_t PhysicalMemory::address_of(uint64_t offset) const {
  return offset < lowmem_ ? offset : offset - lowmem_ + kFourGiB;
}

}  // namespace ktstr
