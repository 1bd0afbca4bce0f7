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
// offset, size, for BPF programs the tag, `uncertain` for "? ". nullopt: not a frame.
std::optional<ChainFrameT> parse_trace_frame(std::string_view text);

// Prefixed "name[pid]" as the kernel prints a task: the comm may hold brackets itself. nullopt: not a task.
struct TaskName {
  std::string_view comm;
  int pid;
};
std::optional<TaskName> parse_task_name(std::string_view text);

}  // namespace ktstr
