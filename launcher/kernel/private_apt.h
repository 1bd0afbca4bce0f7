// apt's programs on private lists, state and cache: what kernel_fetch asks of Debian's archive.
//
// The configuration is the host's transport part only (proxies, timeouts), so that no hook of the host runs
// and nothing of its package state is read or written. Signatures are apt's work, against Debian's keyring.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/kernel/kernel_fetch.h"

namespace ktstr {

// The suite that carries kernels with sched_ext for stable hosts.
inline constexpr char kKernelSuite[] = "trixie-backports";
inline constexpr char kKernelFlavour[] = "cloud-amd64";

// What the archive offers for one release.
struct KernelOffer {
  std::string image_package;   // holds the vmlinuz
  std::string config_package;  // holds the config; may be image_package
  bool debuginfo = false;      // a -dbg package exists
};
// By release, oldest first.
using KernelOffers = std::map<std::string, KernelOffer, bool (*)(const std::string&, const std::string&)>;

// From `apt-cache pkgnames`: one name a line; other packages and noise are passed over.
KernelOffers parse_kernel_offers(const std::string& package_names);

class PrivateApt {
 public:
  // Lists and cache are in `state`, kept between fetches; configuration and downloads in `staging`, the
  // caller's to remove. `host` must outlive this.
  PrivateApt(const FetchHost& host, std::string state, std::string staging)
      : host_(host), state_(std::move(state)), staging_(std::move(staging)) {}

  // Directories and configuration. kNotFound: no keyring, no apt.
  Status set_up();
  // Sites of the archives that this host's apt uses for its own packages, best first; none is not a failure.
  Result<std::vector<std::string>> sites();
  // Reads the signed index of kKernelSuite at `site`.
  Status update(const std::string& site);
  // REQUIRES: update() was ok.
  Result<KernelOffers> offers();
  // "13 MB", or empty.
  std::string size_of(const std::string& package);
  // Path of the .deb, in the staging directory.
  Result<std::string> download(const std::string& package);

 private:
  Status write_config();
  Result<CommandOutput> apt(std::vector<std::string> argv, const std::string& cwd = "");

  const FetchHost& host_;
  std::string state_;
  std::string staging_;
  std::string keyring_;
};

}  // namespace ktstr
