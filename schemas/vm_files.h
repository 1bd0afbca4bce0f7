// What launcher and collector share in the bus folder for the VMs of a run.
#pragma once

#include <string>

#include "schemas/common_generated.h"

namespace ktstr {

// The launcher's word for a VM in file names.
inline std::string vm_word(Vm vm) { return vm == Vm::Repro ? "repro" : "primary"; }

// The collector listens; one connection for each VM, made by the launcher and passed to QEMU.
inline std::string console_socket(Vm vm) { return "console." + vm_word(vm) + ".sock"; }
inline std::string channel_socket(Vm vm) { return "channel." + vm_word(vm) + ".sock"; }

// Channel frames for the guest that waits for its work: HandoverStarted, the files, HandoverFinished. Complete before the VM is
// started; absent: its initramfs holds all.
inline std::string handover_file(Vm vm) { return "handover." + vm_word(vm) + ".bundle"; }

}  // namespace ktstr
