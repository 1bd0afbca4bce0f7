// A bundle: what a bug report needs of one run, as one .tar.zst (libarchive). Members are files in one folder, kBundleFolder.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

inline constexpr char kBundleFolder[] = "ktstr-bundle";
inline constexpr char kBundleLog[] = "events.ktlog";

class BundleWriter {
 public:
  // Errors: the file cannot be made. It takes its name in finish().
  static Result<BundleWriter> create(const std::string& path);
  BundleWriter(BundleWriter&&) noexcept;
  ~BundleWriter();

  Status add(const std::string& name, std::string_view text);
  Status add_file(const std::string& name, const std::string& path);
  Status finish();

 private:
  struct State;
  explicit BundleWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Is it a compressed file (and so no log)? By its first bytes.
bool looks_like_bundle(const std::string& path);

struct BundleBounds {
  uint64_t log_bytes = uint64_t{4} << 30;    // of the log
  uint64_t other_bytes = uint64_t{1} << 30;  // of all else together, which is not kept
  size_t members = 256;
};
// The log of a bundle, in a file without a name; every byte of the bundle was read before. Errors (kInvalid): not a bundle, torn,
// a member that a bundle does not have (a link, a device, a path that leaves the folder), two logs, more than the bounds.
Result<UniqueFd> log_of_bundle(const std::string& path, const BundleBounds& bounds = {});

}  // namespace ktstr
