// The bundle with which a test is handed over to a guest that waits for it: frames of the event channel, HandoverStarted, the
// files of the test in pieces, HandoverFinished. The collector sends it, ktstr-init (guest/init/handover.h) writes the files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/vm/initramfs.h"

namespace ktstr {

struct HandoverRequest {
  std::string path;              // of the bundle; it is there once it is complete
  bool restored = false;         // the guest comes from a template
  uint64_t unix_ns = 0;          // CLOCK_REALTIME now
  std::vector<uint8_t> entropy;  // see HandoverStarted
};

// What one handover may take: more than any test needs, less than a host's memory.
inline constexpr uint64_t kMaxHandoverBytes = uint64_t{4} << 30;
inline constexpr size_t kMaxHandoverFiles = 20000;

// Writes what was added to `files` since begin_handover(). Errors: a file that is gone or shrinks, too much.
Status write_handover(const Initramfs& files, const HandoverRequest& request);

// Random bytes of this host's kernel, for HandoverRequest.entropy.
Result<std::vector<uint8_t>> fresh_entropy();

}  // namespace ktstr
