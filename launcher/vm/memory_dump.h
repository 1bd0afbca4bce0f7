// The memory of a VM as an ELF core, written by QEMU (dump-guest-memory) while the VM stands still: what gdb and crash open.
//
// QEMU writes all pages; afterwards those of zeros become holes. Both go on while the caller's loop turns: step().
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "runtime/qmp_client.h"

namespace ktstr {

class MemoryDump {
 public:
  // The file must not exist; it is made 0600. Errors: the disk is too full (kExhausted), QEMU refuses.
  static Result<MemoryDump> begin(QmpClient& qmp, const std::string& path, uint64_t ram_bytes);
  MemoryDump(MemoryDump&&) = default;

  // A bounded piece of work; never waits for QEMU's writing. True: it is complete. An error removes the file.
  Result<bool> step(QmpClient& qmp);
  // Removes what is there.
  void discard();

  const std::string& path() const { return path_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t disk_bytes() const;
  // step() has work of its own: call it again at once.
  bool busy() const { return written_; }

 private:
  MemoryDump(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Status still_written(QmpClient& qmp);
  Result<bool> dig_holes();

  std::string path_;
  UniqueFd fd_;
  bool written_ = false;  // by QEMU
  uint64_t bytes_ = 0, dug_ = 0;
};

}  // namespace ktstr
