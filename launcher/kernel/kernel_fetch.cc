#include "launcher/kernel/kernel_fetch.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "bpf/kernel_image.h"
#include "launcher/kernel/deb_package.h"
#include "launcher/kernel/private_apt.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> read_os_release(const std::string& path) {
  std::map<std::string, std::string> values;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    size_t eq = line.find('=');
    if (eq == std::string::npos) continue;
    std::string value = line.substr(eq + 1);
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\''))
      value = value.substr(1, value.size() - 2);
    values[line.substr(0, eq)] = value;
  }
  return values;
}

std::string offered_text(const KernelOffers& offers, bool with_debuginfo) {
  std::string text, last;
  for (auto it = offers.rbegin(); it != offers.rend(); ++it) {
    if (with_debuginfo && !it->second.debuginfo) continue;
    std::string word = with_debuginfo ? it->first : series_of_release(it->first);
    if (word == last) continue;
    text += (text.empty() ? "" : ", ") + word;
    last = word;
  }
  return text.empty() ? "none" : text;
}

constexpr size_t kMaxTries = 4;  // releases of a series whose kfuncs are looked at

struct RemoveDir {
  std::string path;
  ~RemoveDir() {
    std::error_code ec;
    fs::remove_all(path, ec);
  }
};

using Progress = std::function<void(const std::string&)>;
void say(const Progress& progress, const std::string& line) {
  if (progress) progress(line);
}

Status check_host(const FetchHost& host) {
  auto os = read_os_release(host.os_release);
  if (os["ID"] == "debian") return {};
  std::string name = os["PRETTY_NAME"].empty() ? "this host" : os["PRETTY_NAME"];
  return Error::unsupported("kernels are fetched from Debian's archive, and " + name + " is not Debian")
      .with_hint(
          "give --kernel a vmlinuz or a built source tree with CONFIG_SCHED_CLASS_EXT=y and "
          "CONFIG_DEBUG_INFO_BTF=y");
}

Result<KernelOffers> ask_archive(PrivateApt* apt, const Progress& progress) {
  if (auto s = apt->set_up(); !s) return std::move(s).error();
  auto sites = apt->sites();
  if (!sites) return std::move(sites).error();
  if (sites->empty()) {
    return Error::not_found("this host's apt sources name no Debian archive")
        .with_hint("add one to /etc/apt/sources.list, or give --kernel a vmlinuz or a built source tree");
  }
  say(progress, std::string("asking Debian's archive for kernels (") + kKernelSuite + ")");
  std::string problems;
  for (const auto& site : *sites) {
    auto updated = apt->update(site);
    if (!updated) {
      problems += (problems.empty() ? "" : "\n  ") + updated.error().message();
      continue;
    }
    auto offers = apt->offers();
    if (!offers || !offers->empty()) return offers;
    problems += (problems.empty() ? "" : "\n  ") + site + ": offers no " + kKernelFlavour + " kernel in " +
                kKernelSuite;
  }
  return Error::system("cannot ask Debian's archive: " + problems)
      .with_hint("check the network and proxy (apt-get update must work), or give --kernel a vmlinuz");
}

// What to fetch, and what to take instead if its kfuncs are damaged: others of its series, newest first.
Result<std::vector<std::string>> choose(const KernelOffers& offers, const FetchRequest& request,
                                        const KernelCache& cache) {
  // Debug info for a kernel that is cached already spares one download.
  if (request.debuginfo && !request.refresh && !request.series.empty()) {
    auto cached = cache.find(request.series);
    if (cached && cached->has_value()) {
      auto it = offers.find((*cached)->release);
      if (it != offers.end() && it->second.debuginfo) return std::vector<std::string>{it->first};
    }
  }
  bool series_known = false;
  std::vector<std::string> chosen;
  for (auto it = offers.rbegin(); it != offers.rend(); ++it) {
    const std::string& release = it->first;
    if (!request.series.empty() && series_of_release(release) != request.series && release != request.series)
      continue;
    series_known = true;
    if (!chosen.empty() && series_of_release(release) != series_of_release(chosen.front())) break;
    if (!request.debuginfo || it->second.debuginfo) chosen.push_back(release);
    if (chosen.size() == kMaxTries) break;
  }
  if (!chosen.empty()) return chosen;
  if (!series_known) {
    return Error::not_found("Debian's archive has no " + std::string(kKernelFlavour) + " kernel \"" +
                            request.series + "\"")
        .with_hint("available: " + offered_text(offers, false));
  }
  return Error::not_found("Debian's archive has no debug symbols for kernel " + request.series)
      .with_hint("available with debug symbols: " + offered_text(offers, true));
}

Result<std::string> fetch_package(PrivateApt* apt, const std::string& package, const Progress& progress) {
  std::string size = apt->size_of(package);
  say(progress, "fetching " + package + (size.empty() ? "" : " (" + size + ")"));
  auto deb = apt->download(package);
  if (!deb) return std::move(deb).error().with_hint("check the network, then run the same command again");
  return deb;
}

Result<CachedKernel> fetch_image(const KernelCache& cache, PrivateApt* apt, const std::string& release,
                                 const KernelOffer& offer, const Progress& progress) {
  auto deb = fetch_package(apt, offer.image_package, progress);
  if (!deb) return std::move(deb).error();
  auto staging = cache.make_staging();
  if (!staging) return std::move(staging).error();
  RemoveDir cleanup{*staging};

  std::string modules = "usr/lib/modules/" + release;
  DebMember image{{"boot/vmlinuz-" + release, modules + "/vmlinuz"}, *staging + "/vmlinuz"};
  DebMember config{{"boot/config-" + release, modules + "/config"}, *staging + "/config"};
  std::vector<DebMember> members = {image};
  bool config_inside = offer.config_package == offer.image_package;
  if (config_inside) members.push_back(config);
  say(progress, "unpacking " + offer.image_package);
  if (auto s = extract_deb_members(*deb, &members); !s) return std::move(s).error();
  if (!members[0].found) return Error::invalid("package " + offer.image_package + " holds no vmlinuz");
  if (!config_inside) {  // the configuration is worth a megabyte, but no reason to fail
    auto base = fetch_package(apt, offer.config_package, progress);
    members = {config};
    if (base) (void)extract_deb_members(*base, &members);
  }
  std::string version = fs::path(*deb).filename();
  return cache.install(*staging, version);
}

Result<CachedKernel> fetch_debuginfo(const KernelCache& cache, PrivateApt* apt, const std::string& release,
                                     const Progress& progress) {
  std::string package = "linux-image-" + release + "-dbg";
  auto deb = fetch_package(apt, package, progress);
  if (!deb) return std::move(deb).error();
  auto staging = cache.make_staging();
  if (!staging) return std::move(staging).error();
  RemoveDir cleanup{*staging};
  std::string target = *staging + "/vmlinux";
  std::vector<DebMember> members = {
      {{"usr/lib/debug/boot/vmlinux-" + release, "usr/lib/debug/lib/modules/" + release + "/vmlinux",
        "usr/lib/debug/usr/lib/modules/" + release + "/vmlinux"},
       target}};
  say(progress, "unpacking " + package);
  if (auto s = extract_deb_members(*deb, &members); !s) return std::move(s).error();
  if (members[0].found) return cache.install_debuginfo(release, target);
  return Error::invalid("package " + package + " holds no vmlinux");
}

bool satisfied(const CachedKernel& kernel, const FetchRequest& request) {
  return !request.debuginfo || !kernel.debuginfo.empty();
}

}  // namespace

Result<CachedKernel> fetch_kernel(const KernelCache& cache, const FetchRequest& request,
                                  const FetchHost& host) {
  if (!request.series.empty() && !request.refresh) {
    auto cached = cache.find(request.series);
    if (cached && cached->has_value() && satisfied(**cached, request)) return **cached;
  }
  if (auto s = check_host(host); !s) return std::move(s).error();
  auto lock = cache.lock([&] { say(request.progress, "waiting for another fetch to finish"); });
  if (!lock) return std::move(lock).error();
  auto staging = cache.make_staging();
  if (!staging) return std::move(staging).error();
  RemoveDir cleanup{*staging};

  PrivateApt apt(host, cache.dir() + "/.apt", *staging);
  auto offers = ask_archive(&apt, request.progress);
  if (!offers) return std::move(offers).error();
  auto releases = choose(*offers, request, cache);
  if (!releases) return std::move(releases).error();

  std::optional<CachedKernel> best;
  for (const std::string& release : *releases) {
    auto cached = cache.find(release);
    if (!cached) return std::move(cached).error();
    Result<CachedKernel> kernel =
        cached->has_value() && !request.refresh
            ? Result<CachedKernel>(**cached)
            : fetch_image(cache, &apt, release, offers->at(release), request.progress);
    if (!kernel && best) break;  // an older one that cannot be had is no failure
    if (!kernel) return kernel;
    const bool sound = kernel->damaged_kfuncs.empty();
    if (!best || sound) best = std::move(*kernel);
    if (sound) break;
    say(request.progress, release + ": its BTF describes " + kfuncs_text(best->damaged_kfuncs) +
                              " wrongly; looking for another " + series_of_release(release));
  }
  if (satisfied(*best, request)) return *best;
  return fetch_debuginfo(cache, &apt, best->release, request.progress);
}

Result<std::vector<std::string>> list_available_kernels(
    const KernelCache& cache, const FetchHost& host,
    const std::function<void(const std::string&)>& progress) {
  if (auto s = check_host(host); !s) return std::move(s).error();
  auto lock = cache.lock([&] { say(progress, "waiting for another fetch to finish"); });
  if (!lock) return std::move(lock).error();
  auto staging = cache.make_staging();
  if (!staging) return std::move(staging).error();
  RemoveDir cleanup{*staging};
  PrivateApt apt(host, cache.dir() + "/.apt", *staging);
  auto offers = ask_archive(&apt, progress);
  if (!offers) return std::move(offers).error();
  std::vector<std::string> releases;
  for (auto it = offers->rbegin(); it != offers->rend(); ++it) releases.push_back(it->first);
  return releases;
}

}  // namespace ktstr
