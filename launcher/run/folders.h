// The folders of a run's files.
//
//   artifacts   --out DIR, else $XDG_STATE_HOME/ktstr/runs/RUN_ID: one folder a test with events.ktlog, report.txt.
//               Kept. A test whose folder holds a log already gets NAME-2, NAME-3, …
//   bus folder  $XDG_RUNTIME_DIR/ktstr-XXXXXX, else /tmp/ktstr-XXXXXX (0700): sockets and the initramfs.
//               Gone when the run ends; after a kill -9 the helpers remove it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

// "20261121-210145-3f2a": local to a user's state folder, sorts by time.
std::string make_run_id(uint64_t unix_ns, unsigned salt);

struct FolderOptions {
  std::string out;          // --out; empty: the default place
  std::string state_home;   // $XDG_STATE_HOME, may be empty
  std::string home;         // $HOME, may be empty
  std::string runtime_dir;  // $XDG_RUNTIME_DIR, may be empty
  std::string run_id;
};

// $XDG_STATE_HOME/ktstr, ~/.local/state/ktstr; empty: neither is set.
std::string state_folder(const FolderOptions& options);
// Creates and returns the run's artifact folder.
Result<std::string> make_artifact_folder(const FolderOptions& options);
// Creates and returns a test's folder in it. It is nobody else's, however many ask at once.
Result<std::string> make_test_folder(const std::string& artifacts, const std::string& test_name);

// A private folder for sockets; removed with everything in it by the destructor. Its path is short, since a unix
// socket's path has 107 bytes.
class BusFolder {
 public:
  static Result<BusFolder> create(const FolderOptions& options);
  BusFolder(BusFolder&& other) noexcept
      : path_(std::exchange(other.path_, "")), lock_(std::move(other.lock_)) {}
  BusFolder& operator=(BusFolder&&) = delete;
  ~BusFolder();
  const std::string& path() const { return path_; }

  // Removes the folders of dead runs of this user: those whose lock nobody holds. Returns how many.
  static int sweep(const FolderOptions& options);
  // The folders of live runs of this user.
  static std::vector<std::string> held(const FolderOptions& options);

 private:
  BusFolder(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  UniqueFd lock_;  // flock on the folder itself, for as long as the run lives
};

}  // namespace ktstr
