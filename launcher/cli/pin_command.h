// ktstr-launch pin LOG: a pin for the crash that a log records.
#pragma once

#include <string>

namespace ktstr {

struct PinCommandOptions {
  std::string log;
};
// Prints lines for a spec's [[test]] block. The process's exit code.
int pin_command(const PinCommandOptions& options);

}  // namespace ktstr
