// The helper processes of one run: started with a readiness handshake, watched, their ends recorded.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"

namespace ktstr {

struct HelperOptions {
  std::string program_folder;  // folder of ktstr-collector and the other programs
  std::string bus_folder;
  std::string log_path;
  std::string run_id;
  uint64_t start_ns = 0;
  std::vector<std::string> extra_args;
  int stop_fd = -1;  // readable: nobody waits for the helper any more; not read
};

struct Helper {
  std::string name;  // "collector"
  Child child;
  pid_t pid = 0;
  std::optional<ChildExit> exit;  // set once it has ended

  bool alive() const { return !exit.has_value(); }
};

// Starts ktstr-NAME and waits until it says that it is ready (bus connected, sockets listening).
// Errors: missing program (kNotFound), ended or silent before readiness, `stop_fd`. REQUIRES: called on the main thread (the
// parent-death signal follows the thread).
Result<Helper> start_helper(const std::string& name, const HelperOptions& options);

}  // namespace ktstr
