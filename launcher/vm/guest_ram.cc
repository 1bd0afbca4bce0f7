#include "launcher/vm/guest_ram.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace ktstr {

Result<GuestRam> GuestRam::create(uint64_t bytes) {
  int fd = memfd_create("ktstr-guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return Error::from_errno("memfd for guest RAM");
  GuestRam ram(fd, bytes);
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return Error::from_errno("guest RAM of " + std::to_string(bytes >> 20) + " MiB");
  }
  // A reader that maps it (the monitor) can then never meet SIGBUS: the size is final.
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
    return Error::from_errno("seal the guest's RAM");
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
