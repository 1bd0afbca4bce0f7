// What `attach --guest` does with files: those that the guest sends (--fetch), and those that a program found missing there.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

struct GuestFileSent;

struct FetchWish {
  std::string guest_path, local_path;
};
// "PATH" (to its name, here) or "PATH=LOCAL". kInvalid: not absolute, no name.
Result<FetchWish> parse_fetch(const std::string& text);

class FetchedFiles {
 public:
  explicit FetchedFiles(std::vector<FetchWish> wishes);

  // A piece. The file takes its name once it is whole. Errors: the guest's reason, pieces that do not fit, a file that cannot be
  // written; the other files still come.
  Status take(const GuestFileSent& piece);
  // "PATH: N bytes in LOCAL", for those that are whole.
  const std::vector<std::string>& done() const { return done_; }
  // Asked for, and not here.
  std::vector<std::string> missing() const;

 private:
  struct File {
    std::string local;
    UniqueFd fd;
    uint64_t offset = 0;
    bool over = false;
  };
  std::map<std::string, File> files_;  // by path in the guest
  std::vector<std::string> done_;
};

// The file that a program's error line says it could not find; empty: none. "error while loading shared libraries: libx.so: …",
// "…: No such file or directory", "cannot open shared object file".
std::string lacked_file(std::string_view line);

}  // namespace ktstr
