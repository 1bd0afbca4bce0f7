// Builds a kernel for the guest from a source tree: a base configuration, what ktstr needs (kernel_fragment.h), and the user's
// own fragment over both. `make olddefconfig` drops an option whose dependencies are off without a word; so each wanted option
// is looked up in the result before anything is compiled.
//
// The tree is not touched: make works in a folder of its own, one per tree, so that a second build is short.
// A tree of git without changes is built once for each commit and configuration: the result is an entry of the cache of built
// kernels, apart from the fetched ones, so that no `--kernel 7.3` and no default takes one. What a tree with changes, or
// without git, gives is not kept as an entry: nobody could say what it was built from.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/kernel/kernel_fetch.h"

namespace ktstr {

// The host as the build sees it; tests put their own in.
struct BuildHost {
  // Runs a command to its end. `log` not empty: its output is appended there, and CommandOutput.out stays empty.
  std::function<Result<CommandOutput>(const FetchCommand& command, const std::string& log)> run;
  std::function<bool(const std::string& program)> has;  // the program is in PATH
};
BuildHost real_build_host();

struct TreeState {
  std::string commit;   // full hash; empty: no git, or none that answers
  std::string changes;  // why no result of it is kept: "3 files differ from the commit"; empty: none
};
TreeState tree_state(const std::string& tree, const BuildHost& host);

struct BuildRequest {
  std::string tree;
  std::string base = "x86_64_defconfig";                  // a target of the tree's make
  std::string fragment;                                   // path of the user's options; empty: none
  unsigned jobs = 0;                                      // 0: as many as CPUs
  bool configure_only = false;                            // stop before anything is compiled
  std::function<void(const std::string& line)> progress;  // for people; may be empty
};

struct BuiltKernel {
  std::string image;  // bzImage or vmlinuz, for --kernel; empty: configure_only
  std::string config;
  std::string release;
  bool from_cache = false;
  std::string not_kept;              // why it is no entry of the cache; empty: it is one
  std::vector<std::string> without;  // what ktstr can do without, and this kernel lacks: "CONFIG_IKCONFIG=y"
};

// Errors: kInvalid (no kernel tree, a bad fragment), kUnsupported (an option that ktstr needs or that the fragment asks for was
// dropped, each named; a program that the build needs is missing), kSystem (make failed: its error lines, and where the log is).
Result<BuiltKernel> build_kernel(const KernelCache& cache, const BuildRequest& request,
                                 const BuildHost& host);

// The kernels that were built, as a cache beside the fetched ones.
KernelCache built_kernels(const KernelCache& cache);
// The newest entry for this commit; nullopt: none.
std::optional<CachedKernel> built_from(const KernelCache& cache, const std::string& commit);

// "CONFIG_X=y" or "# CONFIG_X is not set", each once, as a .config has them. Other lines but comments: kInvalid.
Result<std::vector<std::string>> read_fragment(const std::string& text, const std::string& what);
// The lines of `wanted` that `config` does not hold: "CONFIG_X=y (it is: not set)".
std::vector<std::string> dropped_options(const std::vector<std::string>& wanted, const std::string& config);

}  // namespace ktstr
