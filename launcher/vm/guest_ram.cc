#include "launcher/vm/guest_ram.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace ktstr {

Result<GuestRam> GuestRam::create(uint64_t bytes) {
  int fd = memfd_create("ktstr-guest-ram", MFD_CLOEXEC);
  if (fd < 0) return Error::from_errno("memfd for guest RAM");
  GuestRam ram(fd, bytes);
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return Error::from_errno("guest RAM of " + std::to_string(bytes >> 20) + " MiB");
  }
  return ram;
}

GuestRam::GuestRam(GuestRam&& other) noexcept : fd_(std::exchange(other.fd_, -1)), bytes_(other.bytes_) {}

GuestRam::~GuestRam() {
  if (fd_ >= 0) ::close(fd_);
}

std::string GuestRam::path() const {
  return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_);
}

uint64_t lowmem_bytes(uint64_t ram_bytes) { return ram_bytes >= 0xb0000000 ? 0x80000000 : ram_bytes; }

}  // namespace ktstr
