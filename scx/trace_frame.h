// One line of a kernel backtrace.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/text.h"
#include "schemas/crash_generated.h"

namespace ktstr {

// No backtrace is kept longer: the guest is not trusted.
inline constexpr size_t kMaxFrames = 256;

// "  bpf_prog_f26261e135282e9f_qmap_enqueue+0xd7/0x322", " ? update_load_avg+0x7f/0x7e0 [module]": function,
// offset, size, for BPF programs the tag, `uncertain` for "? ". Also what decoders make of them, with file and line:
// "schedule+0x44/0x140 kernel/sched/core.c:6856", "context_switch kernel/sched/core.c:5446 [inline]",
// "schedule (kernel/sched/core.c:6856)"; arm64's " (P)"; crash(8)'s "#4 [ffffa9f1c0003e58] schedule at ffffffff8220156a".
// nullopt: not a frame.
std::optional<ChainFrameT> parse_trace_frame(std::string_view text);

// Less what a compiler adds to a symbol's name, which differs from build to build: ".isra.0", ".constprop.0",
// ".cold", ".part.0", ".llvm.123".
std::string_view base_function(std::string_view function);

// Prefixed "name[pid]" as the kernel prints a task: the comm may hold brackets itself. nullopt: not a task.
struct TaskName {
  std::string_view comm;
  int pid;
};
std::optional<TaskName> parse_task_name(std::string_view text);

// "NAME/pid", as most messages of the kernel print a task: the comm may hold slashes itself.
std::optional<TaskName> parse_task_slash(std::string_view text);

}  // namespace ktstr
