// Source lines of a BPF program's machine code. A line of an inline wrapper (compat.bpf.h) says little: with it comes the
// line in the file that defines the function, nearest before. Line info does not say which call was inlined.
#pragma once

#include <cstdint>
#include <vector>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {

// Fills file, line and text of `frame`, and its own_* where the line is of another file than the function. `address`: a return
// address in `function` of `program`. False: there is no line for it.
bool place_frame(const BpfProgramT& program, const BpfFunctionT& function, uint64_t address,
                 ChainFrameT& frame);

// The function of the programs that holds a return address, with its line; its function is empty where none does.
ChainFrameT frame_at(const std::vector<BpfProgramT>& programs, uint64_t address);

}  // namespace ktstr
