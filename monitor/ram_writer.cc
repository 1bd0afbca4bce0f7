#include "monitor/ram_writer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/unique_fd.h"

namespace ktstr {
namespace {

constexpr uint64_t kPage = 4096;

template <typename T>
void store(void* to, const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  __atomic_store_n(static_cast<T*>(to), value, __ATOMIC_SEQ_CST);
}

class MemfdWriter : public RamWriter {
 public:
  MemfdWriter(UniqueFd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}

  // Maps the page for the moment: a store through a mapping is one access, write(2) need not be.
  Status write(uint64_t offset, std::span<const uint8_t> bytes) override {
    const uint64_t page = offset & ~(kPage - 1), within = offset - page;
    if (offset > size_ || bytes.size() > size_ - offset || within + bytes.size() > kPage)
      return Error::invalid("write outside of guest RAM");
    void* base =
        ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), static_cast<off_t>(page));
    if (base == MAP_FAILED) return Error::from_errno("map guest RAM for writing");
    void* to = static_cast<uint8_t*>(base) + within;
    const bool aligned = bytes.size() != 0 && offset % bytes.size() == 0;
    if (aligned && bytes.size() == 8)
      store<uint64_t>(to, bytes.data());
    else if (aligned && bytes.size() == 4)
      store<uint32_t>(to, bytes.data());
    else if (aligned && bytes.size() == 2)
      store<uint16_t>(to, bytes.data());
    else
      std::memcpy(to, bytes.data(), bytes.size());
    ::munmap(base, kPage);
    return {};
  }

 private:
  UniqueFd fd_;
  uint64_t size_;
};

}  // namespace

Result<std::unique_ptr<RamWriter>> open_ram_writer(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd) return Error::from_errno("open guest RAM " + path + " for writing");
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return Error::from_errno("guest RAM " + path);
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK))
    return Error::unsupported("guest RAM " + path + " may shrink: it is not written to");
  if (seals & F_SEAL_WRITE) return Error::unsupported("guest RAM " + path + " is sealed against writing");
  return std::unique_ptr<RamWriter>(new MemfdWriter(std::move(fd), static_cast<uint64_t>(st.st_size)));
}

Status write_guest(const PagedMemory& memory, RamWriter& writer, uint64_t va,
                   std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const size_t piece = std::min<uint64_t>(bytes.size(), kPage - (va & (kPage - 1)));
    const auto gpa = memory.translate(va);
    const auto offset = gpa ? memory.physical().offset_of(*gpa) : std::nullopt;
    if (!offset) return Error::invalid("the address is not mapped in the guest");
    if (auto status = writer.write(*offset, bytes.subspan(0, piece)); !status) return status;
    va += piece;
    bytes = bytes.subspan(piece);
  }
  return {};
}

}  // namespace ktstr
