// Reads the probes' rings from the memory of a guest that died with them: a panic, a reset, a hang. Each hit lies in
// one page and carries a seal (bpf/probe_abi.h), so no kernel structure is needed to find it.
//
// The guest is not trusted: at most kMaxRingHits are taken, the newest; targets that the plan does not have
// are not.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "bpf/hits.h"
#include "bpf/probe_abi.h"

namespace ktstr {

inline constexpr size_t kMaxRingHits = 64 * 1024;

// `ram`: a file that is the guest's RAM; holes are skipped. `targets`: how many the plan has. The hits come
// by time. kSystem when the file cannot be read.
Result<probe::Capture> read_rings(int ram, size_t targets);

}  // namespace ktstr
