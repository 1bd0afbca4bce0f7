// The callback that a message of sched_ext itself names: "ops.init_task() failed (-12) for T[5]", "invalid CPU 9 from
// ops.select_cpu()". It decides whose fault it is; the kernel functions on the stack only tell from where it was called.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ktstr {

struct NamedCallback {
  std::string member;  // "init_task"
  int error = 0;       // positive errno that it returned; 0: the message says none
};
std::optional<NamedCallback> named_callback(std::string_view message);

// The task that a message names, "… not allowed for cg_0/1[122]": its pid; 0: none, or several.
int named_task(std::string_view message);

}  // namespace ktstr
