// bpf_map_write: a value written into a field of the scheduler's maps, found by BTF name.
#pragma once

#include "monitor/guest_kernel.h"
#include "monitor/ram_writer.h"
#include "monitor/vm_hold.h"
#include "schemas/monitor_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {

// Does `asked` name the map `name`? In full or as the kernel cut it (15 bytes), with or without the object's
// prefix:
// ".bss" and "scx_demo.bss" both name "scx_demo.bss".
bool names_map(std::string_view asked, std::string_view name);

// Writes, and says what stood there before and stands there now; `error` when it could not, and why. Per-CPU
// maps: the copies of all CPUs. Frozen maps (.rodata) are refused: the verifier has compiled their values
// into the programs. With `hold` the VM stands still while an element of a hash is looked up and written: the
// running guest might give its memory to another one in between.
MapWrittenT poke_map(const GuestKernel& kernel, RamWriter& writer, const MapWriteT& wanted, uint32_t index,
                     VmHold* hold = nullptr);

}  // namespace ktstr
