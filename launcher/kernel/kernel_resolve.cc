#include "launcher/kernel/kernel_resolve.h"

#include <algorithm>
#include <filesystem>

#include "base/small_files.h"
#include "bpf/kernel_image.h"
#include "launcher/kernel/kernel_build.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

// The kernel that was asked for, and by which option or variable.
struct Asked {
  std::string spec;
  std::string origin;
};

Asked asked_for(const KernelChoice& choice) {
  if (!choice.flag.empty()) return {choice.flag, "--kernel " + choice.flag};
  if (!choice.environment.empty()) return {choice.environment, "KTSTR_KERNEL=" + choice.environment};
  return {"", "newest cached"};
}

bool is_path(const std::string& spec) {
  std::error_code ec;
  return spec.find('/') != std::string::npos || (!spec.empty() && fs::exists(spec, ec));
}

std::string absolute(const std::string& path) {
  std::error_code ec;
  fs::path real = fs::canonical(path, ec);
  return ec ? path : real.string();
}

std::string cached_names(const std::vector<CachedKernel>& kernels) {
  std::string names;
  for (const auto& kernel : kernels) names += (names.empty() ? "" : ", ") + kernel.release;
  return names;
}

// `btf`: gets the image's raw BTF, unless null.
Result<ResolvedKernel> from_image(const std::string& path, const std::string& debuginfo,
                                  const std::string& origin, std::vector<uint8_t>* btf = nullptr) {
  auto image = read_kernel_image(path);
  if (!image) return std::move(image).error();
  if (btf) *btf = image->btf;
  if (!image->bzimage) {
    return Error::invalid("kernel " + path + ": is a bare vmlinux; a VM boots a bzImage")
        .with_hint("give arch/x86/boot/bzImage of the same build, or the source tree that holds both");
  }
  if (auto usable = check_kernel_usable(*image); !usable) return std::move(usable).error();
  ResolvedKernel resolved;
  resolved.info.release = image->release;
  resolved.info.banner = image->banner;
  resolved.info.path = absolute(path);
  resolved.info.origin = origin;
  resolved.info.build_id = image->build_id;
  resolved.info.debuginfo = debuginfo;
  resolved.info.damaged_kfuncs = damaged_kfuncs(image->btf);
  return resolved;
}

ResolvedKernel from_entry(const CachedKernel& kernel, const std::string& origin) {
  ResolvedKernel resolved;
  resolved.info.release = kernel.release;
  resolved.info.banner = kernel.banner;
  resolved.info.path = absolute(kernel.image);
  resolved.info.origin = origin;
  resolved.info.build_id = kernel.build_id;
  resolved.info.debuginfo = kernel.debuginfo;
  resolved.info.damaged_kfuncs = kernel.damaged_kfuncs;
  resolved.info.btf_file = absolute(kernel.btf);
  return resolved;
}

// vmlinux of a tree counts as debug info only if it is of the same build and holds DWARF.
std::string matching_debuginfo(const std::string& vmlinux, const std::string& build_id) {
  std::error_code ec;
  if (!fs::is_regular_file(vmlinux, ec)) return "";
  auto image = read_kernel_image(vmlinux);
  if (!image || image->build_id != build_id) return "";
  return absolute(vmlinux);
}

Result<ResolvedKernel> from_path(const KernelCache& cache, const Asked& asked) {
  std::error_code ec;
  if (!fs::exists(asked.spec, ec)) {
    return Error::not_found(asked.origin + ": no such file or directory")
        .with_hint("give a vmlinuz, a built source tree, or a cached series (`ktstr-launch kernel list`)");
  }
  if (!fs::is_directory(asked.spec, ec)) return from_image(asked.spec, "", asked.origin);
  for (const char* candidate : {"arch/x86/boot/bzImage", "arch/x86_64/boot/bzImage", "bzImage", "vmlinuz"}) {
    std::string image = asked.spec + "/" + candidate;
    if (!fs::is_regular_file(image, ec)) continue;
    auto resolved = from_image(image, "", asked.origin);
    if (!resolved) return resolved;
    resolved->info.debuginfo = matching_debuginfo(asked.spec + "/vmlinux", resolved->info.build_id);
    return resolved;
  }
  bool is_source = fs::exists(asked.spec + "/Kconfig", ec);
  if (is_source) {
    const TreeState state = tree_state(asked.spec, real_build_host());
    const auto built = state.changes.empty() ? built_from(cache, state.commit) : std::nullopt;
    if (built)
      return from_image(built->image, built->debuginfo,
                        asked.origin + ", built by kernel build from " + state.commit.substr(0, 12));
  }
  return Error::not_found(asked.origin + ": the directory holds no arch/x86/boot/bzImage")
      .with_hint(is_source ? "nothing is built for it: run `ktstr-launch kernel build " + asked.spec +
                                 "`, or `make bzImage vmlinux` in it"
                           : std::string("it must be a built kernel source tree"));
}

}  // namespace

Result<ResolvedKernel> resolve_kernel(const KernelCache& cache, const KernelChoice& choice) {
  Asked asked = asked_for(choice);
  if (is_path(asked.spec)) return from_path(cache, asked);

  auto found = cache.find(asked.spec);
  if (!found) return std::move(found).error();
  if (!found->has_value()) {
    auto all = cache.list();
    std::string cached = all ? cached_names(*all) : "";
    if (asked.spec.empty()) {
      return Error::not_found("no kernel is cached in " + cache.dir())
          .with_hint("run `ktstr-launch kernel fetch`, or give --kernel a vmlinuz or a built source tree");
    }
    return Error::not_found(asked.origin + ": neither a file nor a cached kernel" +
                            (cached.empty() ? " (none is cached)" : " (cached: " + cached + ")"))
        .with_hint("run `ktstr-launch kernel fetch " + asked.spec + "`");
  }
  const CachedKernel& kernel = **found;
  // To unpack the image takes a quarter of a second, each run.
  if (kernel.checked) return from_entry(kernel, asked.origin);
  std::vector<uint8_t> btf;
  auto resolved = from_image(kernel.image, kernel.debuginfo, asked.origin, &btf);
  if (!resolved) {
    return std::move(resolved)
        .error()
        .within(asked.origin)
        .with_hint("remove " + kernel.dir + " and run `ktstr-launch kernel fetch` again");
  }
  const auto kept = read_binary(kernel.btf, btf.size());
  const KernelInfoT& info = resolved->info;
  if (kept &&
      std::ranges::equal(*kept, btf, [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; }) &&
      info.release == kernel.release && info.build_id == kernel.build_id && info.banner == kernel.banner &&
      info.damaged_kfuncs == kernel.damaged_kfuncs)
    cache.remember_checked(kernel);
  return resolved;
}

namespace {

// "7.2", in full; empty is allowed at an open end.
bool is_series(const std::string& text) { return text.empty() || series_of_release(text) == text; }

}  // namespace

Result<std::vector<std::string>> expand_kernel_ranges(const KernelCache& cache,
                                                      const std::vector<std::string>& wishes) {
  std::vector<std::string> out;
  for (const std::string& wish : wishes) {
    const size_t dots = wish.find("..");
    if (dots == std::string::npos || is_path(wish)) {
      out.push_back(wish);
      continue;
    }
    const std::string first = wish.substr(0, dots), last = wish.substr(dots + 2);
    if (!is_series(first) || !is_series(last) || (first.empty() && last.empty()))
      return Error::invalid("--kernel " + wish + ": no range of kernel series")
          .with_hint("write it like 6.16..7.3");
    auto all = cache.list();
    if (!all) return std::move(all).error();
    std::vector<std::string> within;
    for (const CachedKernel& kernel : *all) {  // newest first
      const bool early = !first.empty() && release_less(kernel.series, first);
      const bool late = !last.empty() && release_less(last, kernel.series);
      if (!early && !late && (within.empty() || within.back() != kernel.series))
        within.push_back(kernel.series);
    }
    if (within.empty())
      return Error::not_found("--kernel " + wish + ": no cached kernel is in this range" +
                              (all->empty() ? "" : " (cached: " + cached_names(*all) + ")"))
          .with_hint("run `ktstr-launch kernel fetch SERIES`");
    out.insert(out.end(), within.rbegin(), within.rend());
  }
  return out;
}

std::string kernel_config_of(const std::string& image, const std::string& release) {
  const fs::path folder = fs::path(image).parent_path();
  // A tree's image is in arch/x86/boot.
  const bool in_tree = folder.filename() == "boot" && folder.parent_path().parent_path().filename() == "arch";
  const fs::path tree = folder.parent_path().parent_path().parent_path();
  std::error_code ec;
  for (const fs::path& place :
       {folder / "config", folder / ("config-" + release), in_tree ? tree / ".config" : fs::path()})
    if (!place.empty() && fs::is_regular_file(place, ec)) return place.string();
  return "";
}

}  // namespace ktstr
