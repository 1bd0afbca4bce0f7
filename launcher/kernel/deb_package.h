// Files out of a .deb, without dpkg.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

// A file wanted from a package: the first member whose path (without "./") is one of `paths` goes to
// `target`.
struct DebMember {
  std::vector<std::string> paths;
  std::string target;
  bool found = false;  // set by extract_deb_members
};

// Streams data.tar.* of the .deb at `deb` and writes the wanted members. A member that is not there is no
// failure. Errors: kInvalid (not a .deb, damaged), kExhausted (disk full), kSystem.
Status extract_deb_members(const std::string& deb, std::vector<DebMember>* members);

}  // namespace ktstr
