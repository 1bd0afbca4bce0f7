// Where the launcher puts files in the VM, and where ktstr-init and a test's body look for them; and what it tells init by the
// kernel's command line.
#pragma once

#include <cstddef>

namespace ktstr {

inline constexpr char kGuestPlan[] = "/ktstr/plan.bin";  // GuestPlan
// More than any plan takes: who reads one refuses a larger file.
inline constexpr size_t kMaxGuestPlan = 16u << 20;
inline constexpr char kGuestProbe[] = "/ktstr/probe";        // the program ktstr-probe
inline constexpr char kGuestBusybox[] = "/usr/bin/busybox";  // of a shell
// Folders, with the slash at the end.
inline constexpr char kGuestSchedulers[] = "/ktstr/sched/";
inline constexpr char kGuestPayloads[] = "/ktstr/payload/";  // NAME/PROGRAM
inline constexpr char kGuestFiles[] = "/ktstr/files/";       // TestSpec.files
inline constexpr char kGuestConfigs[] = "/ktstr/config/";    // SCHEDULER: SchedulerSpec.config
inline constexpr char kGuestCommands[] = "/ktstr/cmd/";      // NAME/PROGRAM, brought by `attach --guest`

// On the kernel's command line: the VM is saved as a template when its init waits for its work.
inline constexpr char kTemplateSwitch[] = "ktstr.template";

}  // namespace ktstr
