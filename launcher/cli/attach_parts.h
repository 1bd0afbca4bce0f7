// The two halves of `attach`, and what they share.
#pragma once

#include "ktstr/client.h"
#include "launcher/cli/command_line.h"

namespace ktstr {

// Hears what there is and forgets it, so that a refusal is noticed.
Status drain(Client& client);

// `--guest`: the program and its libraries go into the VM, the command runs there; prints its lines as they
// come by. Returns its exit code, 128 and the signal, or that of a failure.
int attach_in_guest(const AttachCommandOptions& options, Client& client);

}  // namespace ktstr
