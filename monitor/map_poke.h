// bpf_map_write: a value written into a field of the scheduler's maps, found by BTF name.
#pragma once

#include "monitor/guest_kernel.h"
#include "monitor/ram_writer.h"
#include "monitor/vm_hold.h"
#include "schemas/monitor_generated.h"

namespace ktstr {

struct MapWriteT;

// Does `asked` name the map `name`? In full or as the kernel cut it (15 bytes), with or without the object's
// prefix:
// ".bss" and "scx_demo.bss" both name "scx_demo.bss".
bool names_map(std::string_view asked, std::string_view name);

// Writes the value and returns the value before and after, or the reason in `error`. Of per-CPU maps it writes
// the copies of all CPUs. Frozen maps (.rodata) are rejected, because the verifier has compiled their values
// into the programs. With `hold` the VM is paused while an element of a hash is found and written, because the
// running guest could reuse the element's memory in between.
MapWrittenT poke_map(const GuestKernel& kernel, RamWriter& writer, const MapWriteT& wanted, uint32_t index,
                     VmHold* hold = nullptr);

}  // namespace ktstr
