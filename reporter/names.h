// Names that people read, for numbers that machines send.
#pragma once

#include <cstdint>
#include <string>

#include "schemas/common_generated.h"

namespace ktstr {

std::string stage_name(Stage stage);        // "workload running"
std::string exit_kind_name(uint64_t kind);  // "scx_bpf_error"
std::string signal_name(int signo);         // "SIGSEGV"
// From the dump's text of a DSQ id: "the global DSQ", "CPU 3's local DSQ", "DSQ 0x5".
std::string dsq_name(const std::string& id);

}  // namespace ktstr
