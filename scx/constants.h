// Numbers and words that sched_ext shares with user space, as linux/kernel/sched/ext*.{c,h} of 6.16 to 7.3 has
// them. Constants only, so that the guest's programs can include it too; scx/vocabulary.h has the names for people.
#pragma once

#include <cstdint>
#include <string_view>

namespace ktstr {

// enum scx_exit_kind. Below kScxExitError somebody asked for the end; from there on the scheduler was aborted.
inline constexpr uint64_t kScxExitUnreg = 64;  // user space took the scheduler out
inline constexpr uint64_t kScxExitUnregBpf = 65;
inline constexpr uint64_t kScxExitUnregKern = 66;
inline constexpr uint64_t kScxExitSysrq = 67;
inline constexpr uint64_t kScxExitParent = 68;      // 7.x, sub-schedulers
inline constexpr uint64_t kScxExitParentKill = 69;  // 7.3
inline constexpr uint64_t kScxExitError = 1024;
inline constexpr uint64_t kScxExitErrorBpf = 1025;
inline constexpr uint64_t kScxExitErrorStall = 1026;
inline constexpr uint64_t kScxExitErrorReenq = 1027;   // 7.3
inline constexpr uint64_t kScxExitErrorRescue = 1028;  // 7.3
constexpr bool is_scx_error(uint64_t kind) { return kind >= kScxExitError; }

// enum scx_dsq_id_flags. An id without kScxDsqBuiltin is the scheduler's own.
inline constexpr uint64_t kScxDsqBuiltin = 1ull << 63;
inline constexpr uint64_t kScxDsqLocalOn = kScxDsqBuiltin | 1ull << 62;  // the CPU in the low half
inline constexpr uint64_t kScxDsqCpuMask = 0xffffffff;
inline constexpr uint64_t kScxDsqInvalid = kScxDsqBuiltin | 0;
inline constexpr uint64_t kScxDsqGlobal = kScxDsqBuiltin | 1;
inline constexpr uint64_t kScxDsqLocal = kScxDsqBuiltin | 2;
inline constexpr uint64_t kScxDsqBypass = kScxDsqBuiltin | 3;

// /sys/kernel/sched_ext/state; enum scx_enable_state has the same words.
inline constexpr std::string_view kScxStateEnabled = "enabled";
inline constexpr std::string_view kScxStateEnabling = "enabling";
inline constexpr std::string_view kScxStateDisabling = "disabling";

}  // namespace ktstr
