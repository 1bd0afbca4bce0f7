// What the kernel says about a loaded BPF program: its functions, their addresses, which source
// line each instruction came from.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "schemas/guest_generated.h"

struct btf;

namespace ktstr::probe {

struct FreeBtf {
  void operator()(struct btf* b) const;
};
using BtfPtr = std::unique_ptr<struct btf, FreeBtf>;

struct ProgramFacts {
  BpfProgramT program;
  BtfPtr btf;  // the program's own; null: it has none
};

// Names come from the program's BTF (the kernel cuts info.name to 15 characters). Counts are bounded.
Result<ProgramFacts> read_program(int prog_fd, const std::string& member);

// Raw bytes of the BTF with that id, for the BpfBtf event.
Result<BpfBtfT> read_btf(uint32_t btf_id);

}  // namespace ktstr::probe
