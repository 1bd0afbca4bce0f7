// What people read for the numbers that sched_ext and the guest send. Each thing has one name in all of ktstr:
// the report, `ktstr-monitor --ram`, auto-repro's values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "scx/constants.h"

namespace ktstr {

enum class Stage : uint8_t;
enum class DsqKind : uint8_t;
enum class Vm : uint8_t;

// As the kernel's scx_exit_reason() says it: "runnable task stall"; "exit kind 7" for a kind that is not known.
std::string exit_kind_name(uint64_t kind);
// The other way: 0 for a reason that is not known.
uint64_t exit_kind_of(std::string_view reason);
// The reason that begins so, of a line that is cut off ("runnable ta", "runnable ta>"); empty: none, or several.
std::string exit_reason_of(std::string_view beginning);

// "DSQ 0x100", "global DSQ", "local DSQ of CPU 3", "local DSQ", "bypass DSQ", "no DSQ".
std::string dsq_name(uint64_t id);
// Of a DSQ that was found in the kernel: `place` is the node of a global one, the CPU of a local or bypass one.
std::string dsq_name(uint64_t id, DsqKind kind, uint32_t place);
// From the dump's text of an id: "0x8000000000000001".
std::string dsq_name(std::string_view id);
// Where a task waits, in a sentence: "in DSQ 0x100", "in the global DSQ", "in no DSQ" for "" and "no DSQ".
std::string waits_in(std::string_view dsq_name);

std::string stage_name(Stage stage);  // "workload running"
// "primary VM", "repro VM 2".
std::string vm_name(Vm vm, uint8_t attempt);

}  // namespace ktstr
