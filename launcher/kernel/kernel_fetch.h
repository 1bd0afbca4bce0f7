// Takes a sched_ext kernel from the distribution's archive into the cache.
//
// Uses the host's apt programs on private lists, state and cache (under the kernel cache), so that the host's
// package state is neither read for installed packages nor changed; works as an ordinary user. The archive's
// site is the one the host already uses; signatures are checked by apt against Debian's keyring; packages are
// unpacked with libarchive, never installed. Limits: Debian hosts (12, 13, testing, sid) on amd64. Elsewhere:
// kUnsupported, with --kernel as the way out.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/kernel/kernel_cache.h"

namespace ktstr {

struct FetchCommand {
  std::vector<std::string> argv;
  std::vector<std::string> env;  // additions, "NAME=value"
  std::string cwd;               // empty: the current one
};
struct CommandOutput {
  int exit_code = 0;  // 128 + signal when killed
  std::string out;    // stdout and stderr together, bounded
};

// The host as the fetch sees it; tests put their own in.
struct FetchHost {
  // Runs a command to its end. Fails only when it cannot be started or does not end (30 minutes).
  std::function<Result<CommandOutput>(const FetchCommand& command)> run;
  std::string os_release = "/etc/os-release";
  std::string keyring_dir = "/usr/share/keyrings";
};
// Real child processes.
FetchHost real_fetch_host();

struct FetchRequest {
  std::string series;      // "7.2", an exact release, or empty: the newest
  bool debuginfo = false;  // fetch vmlinux with DWARF as well (350 MB)
  bool refresh = false;    // ask the archive even when a kernel of that series is cached
  std::function<void(const std::string& line)> progress;  // what is being done, for people; may be empty
};

// Without network use when the cache has what is asked for (series given and cached, with debug info if
// asked), unless `refresh`. An empty series always asks the archive for the newest. With debuginfo, the
// newest kernel of the series that the archive has symbols for. Errors: no network or archive (kSystem),
// unknown series (kNotFound, lists those available), not Debian (kUnsupported), a package that is not as
// expected (kInvalid), disk full (kExhausted).
Result<CachedKernel> fetch_kernel(const KernelCache& cache, const FetchRequest& request,
                                  const FetchHost& host);

// Releases the archive offers, newest first. Same errors.
Result<std::vector<std::string>> list_available_kernels(
    const KernelCache& cache, const FetchHost& host, const std::function<void(const std::string&)>& progress);

}  // namespace ktstr
