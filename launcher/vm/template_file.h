// A template on disk: a booted VM that waits for its work. QEMU's device state (a migration stream) and the guest's RAM
// without its zero pages, compressed, with checksums.
//
//   header    magic, version, sizes, where the index is, CRC32C of all that
//   segments  each the pages of 4 MiB of RAM that are not zero, one behind the other (zstd); then the device state (zstd)
//   index     one entry a segment: where, how long, which pages, CRC32C of the compressed bytes
//
// Written by one version of ktstr and read by the same one, on the same machine: the key holds both. Nothing of it is trusted
// all the same: a torn or damaged file is an error, never a guest that is a little wrong.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

// Writes `path`, which must not exist, with mode 0600. `ram_fd`: memfd of ram_bytes (a multiple of 4 KiB); its holes stay holes.
// `state_fd`: QEMU's migration stream.
Status write_template(const std::string& path, const std::string& key, int ram_fd, uint64_t ram_bytes,
                      int state_fd);

class TemplateFile {
 public:
  // Errors: kNotFound: it is not there; kInvalid: not a whole template of this key for ram_bytes, of another user, or readable
  // for others.
  static Result<TemplateFile> open(const std::string& path, const std::string& key, uint64_t ram_bytes);

  // Fills an empty memfd with the RAM, and one with the device state. Errors: damage (kInvalid), no memory left.
  Status load(int ram_fd, int state_fd) const;

 private:
  TemplateFile(UniqueFd fd, uint64_t ram_bytes) : fd_(std::move(fd)), ram_bytes_(ram_bytes) {}
  UniqueFd fd_;
  uint64_t ram_bytes_;
  uint64_t index_at_ = 0, index_count_ = 0;
  uint32_t index_crc_ = 0;
};

}  // namespace ktstr
