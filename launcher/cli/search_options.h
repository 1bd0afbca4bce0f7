// What the searches (explore, minimize, bisect) share.
#pragma once

#include <string>

#include "base/result.h"

namespace ktstr {

// The folder of a search's files: `out`, or one of its own in the state folder. Made; its absolute path.
Result<std::string> search_folder(const std::string& out);

// How a search ends that this signal interrupted.
int signal_exit_code(int signal);

}  // namespace ktstr
