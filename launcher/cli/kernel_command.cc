// ktstr-launch kernel fetch | build | list | clean
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "bpf/kernel_image.h"
#include "launcher/cli/command_line.h"
#include "launcher/kernel/kernel_build.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/kernel/kernel_fetch.h"
#include "launcher/kernel/kernel_resolve.h"
#include "launcher/run/progress.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

Result<KernelCache> open_cache() {
  auto dir = KernelCache::default_dir([](const char* name) { return std::getenv(name); });
  if (!dir) return std::move(dir).error();
  return KernelCache(*dir);
}

std::string damage_text(const CachedKernel& kernel) {
  return kernel.damaged_kfuncs.empty() ? "" : "  damaged BTF: " + kfuncs_text(kernel.damaged_kfuncs);
}

}  // namespace

int kernel_fetch_command(const KernelCommandOptions& options) {
  auto cache = open_cache();
  if (!cache) return report_error(cache.error(), exit_code(ExitCode::kUsage));
  LineProgress progress(stderr, ::isatty(2), false);
  FetchRequest request{.series = options.series,
                       .debuginfo = options.debuginfo,
                       .refresh = options.refresh,
                       .progress = [&](const std::string& line) { progress.step(line); }};
  auto kernel = fetch_kernel(*cache, request, real_fetch_host());
  progress.clear();
  if (!kernel) {
    bool usage =
        kernel.error().kind() == ErrorKind::kNotFound || kernel.error().kind() == ErrorKind::kInvalid;
    return report_error(kernel.error(), exit_code(usage ? ExitCode::kUsage : ExitCode::kInfrastructure));
  }
  std::printf("%s  %s%s\n", kernel->release.c_str(), kernel->image.c_str(),
              kernel->debuginfo.empty() ? "" : "  with debuginfo");
  if (!kernel->damaged_kfuncs.empty())
    std::fprintf(
        stderr,
        "warning:%s\n  hint: schedulers that call one of these do not load on it; take another series\n",
        damage_text(*kernel).c_str());
  return 0;
}

int kernel_build_command(const KernelCommandOptions& options) {
  auto cache = open_cache();
  if (!cache) return report_error(cache.error(), exit_code(ExitCode::kUsage));
  LineProgress progress(stderr, ::isatty(2), false);
  BuildRequest request{.tree = options.tree,
                       .base = options.base,
                       .fragment = options.fragment,
                       .jobs = options.jobs,
                       .configure_only = options.configure_only,
                       .progress = [&](const std::string& line) { progress.step(line); }};
  auto built = build_kernel(*cache, request, real_build_host());
  progress.clear();
  if (!built) {
    const bool system =
        built.error().kind() == ErrorKind::kSystem || built.error().kind() == ErrorKind::kExhausted;
    return report_error(built.error(), exit_code(system ? ExitCode::kInfrastructure : ExitCode::kUsage));
  }
  for (const std::string& line : built->without) std::fprintf(stderr, "warning: without %s\n", line.c_str());
  if (options.configure_only) {
    std::printf("%s\n", built->config.c_str());
    return 0;
  }
  if (!built->not_kept.empty())
    std::fprintf(stderr, "warning: this kernel is not kept: %s; the next build of the tree replaces it\n",
                 built->not_kept.c_str());
  std::printf("%s  %s%s\n", built->release.c_str(), built->image.c_str(),
              built->from_cache ? "  built earlier" : "");
  return 0;
}

bool any_kernel() {
  auto cache = open_cache();
  if (!cache) return false;
  auto kernels = cache->list();
  return kernels && !kernels->empty();
}

int kernel_list_command(const KernelCommandOptions& options) {
  auto cache = open_cache();
  if (!cache) return report_error(cache.error(), exit_code(ExitCode::kUsage));
  if (options.available) {
    LineProgress progress(stderr, ::isatty(2), false);
    auto releases = list_available_kernels(*cache, real_fetch_host(),
                                           [&](const std::string& line) { progress.step(line); });
    progress.clear();
    if (!releases) return report_error(releases.error(), exit_code(ExitCode::kInfrastructure));
    for (const auto& release : *releases) std::printf("%s\n", release.c_str());
    return 0;
  }
  auto kernels = cache->list();
  if (!kernels) return report_error(kernels.error(), exit_code(ExitCode::kInfrastructure));
  if (kernels->empty())
    std::fprintf(stderr, "no kernel is cached in %s\n  hint: ktstr-launch kernel fetch\n",
                 cache->dir().c_str());
  auto print = [](const CachedKernel& k, const char* note) {
    std::printf("%-8s %-40s %s%s%s%s\n", k.series.c_str(), k.release.c_str(), k.image.c_str(),
                k.debuginfo.empty() ? "" : "  debuginfo", damage_text(k).c_str(), note);
  };
  for (const auto& k : *kernels) print(k, "");
  if (auto built = built_kernels(*cache).list())
    for (const auto& k : *built) print(k, "  built: give its path or its tree");
  return 0;
}

int kernel_clean_command(const KernelCommandOptions& options) {
  auto cache = open_cache();
  if (!cache) return report_error(cache.error(), exit_code(ExitCode::kUsage));
  auto lock = cache->lock([] { std::fprintf(stderr, "waiting for another fetch\n"); });
  if (!lock) return report_error(lock.error(), exit_code(ExitCode::kInfrastructure));
  auto removed = cache->remove_all_but(options.keep);
  if (!removed) return report_error(removed.error(), exit_code(ExitCode::kInfrastructure));
  for (const CachedKernel& kernel : *removed) std::printf("removed %s\n", kernel.release.c_str());
  if (removed->empty()) std::printf("nothing to remove in %s\n", cache->dir().c_str());
  return 0;
}

Status expand_ranges(std::vector<std::string>& kernels) {
  const bool any = std::any_of(kernels.begin(), kernels.end(),
                               [](const std::string& wish) { return wish.find("..") != std::string::npos; });
  if (!any) return {};  // needs no cache
  auto cache = open_cache();
  if (!cache) return std::move(cache).error();
  auto expanded = expand_kernel_ranges(*cache, kernels);
  if (!expanded) return std::move(expanded).error();
  kernels = std::move(*expanded);
  return {};
}

}  // namespace ktstr
