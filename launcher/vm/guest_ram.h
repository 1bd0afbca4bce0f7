// The guest's RAM: a memfd that the launcher holds, QEMU maps shared and the monitor opens read-only through
// /proc. It is never a file that has a name, so a killed launcher leaves nothing in /dev/shm.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace ktstr {

class GuestRam {
 public:
  static Result<GuestRam> create(uint64_t bytes);
  GuestRam(GuestRam&& other) noexcept;
  GuestRam& operator=(GuestRam&&) = delete;
  ~GuestRam();

  int fd() const { return fd_; }
  uint64_t bytes() const { return bytes_; }
  // "/proc/PID/fd/N" of this process: for processes of the same user, while this object lives.
  std::string path() const;

 private:
  GuestRam(int fd, uint64_t bytes) : fd_(fd), bytes_(bytes) {}
  int fd_;
  uint64_t bytes_;
};

// Guest RAM below 4 GiB on q35; the rest starts at guest physical 4 GiB. File offset of a guest physical
// address: gpa < lowmem ? gpa : gpa - 4 GiB + lowmem.
uint64_t lowmem_bytes(uint64_t ram_bytes);

}  // namespace ktstr
