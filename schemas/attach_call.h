// What ktstr-init tells ktstr-probe of the scheduler's attach, as one message on their socket (guest/init/probe_link.h).
#pragma once

#include <cstdint>
#include <type_traits>

namespace ktstr {

// A bpf(BPF_LINK_CREATE) that waits in the seccomp filter.
struct AttachCall {
  char letter = 'C';
  uint32_t pid = 0;   // thread that waits
  uint64_t id = 0;    // of the notification
  uint64_t attr = 0;  // bpf(2)'s attr, an address of that process
  uint64_t size = 0;  // bytes of attr
};
static_assert(std::is_trivially_copyable_v<AttachCall>);

}  // namespace ktstr
