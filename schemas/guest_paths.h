// Where the launcher puts files in the VM, and where ktstr-init and a test's body look for them.
#pragma once

namespace ktstr {

inline constexpr char kGuestPlan[] = "/ktstr/plan.bin";  // GuestPlan
inline constexpr char kGuestProbe[] = "/ktstr/probe";    // the program ktstr-probe
// Folders, with the slash at the end.
inline constexpr char kGuestSchedulers[] = "/ktstr/sched/";
inline constexpr char kGuestPayloads[] = "/ktstr/payload/";  // NAME/PROGRAM
inline constexpr char kGuestCommands[] = "/ktstr/cmd/";      // NAME/PROGRAM, brought by `attach --guest`

}  // namespace ktstr
