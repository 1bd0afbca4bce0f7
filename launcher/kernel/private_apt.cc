#include "launcher/kernel/private_apt.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/child.h"
#include "base/text.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr auto kCommandLimit = std::chrono::minutes(30);

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// What apt complained about, for a person: its E: lines, else its last line.
std::string complaint(const std::string& output) {
  std::string found, last;
  std::set<std::string> seen;
  for (const auto& raw : lines_of(output)) {
    std::string line = printable(raw);
    if (line.empty()) continue;
    last = line;
    if (!line.starts_with("E: ") || !seen.insert(line).second || seen.size() > 3) continue;
    found += (found.empty() ? "" : "; ") + line.substr(3);
  }
  return found.empty() ? last : found;
}

}  // namespace

KernelOffers parse_kernel_offers(const std::string& package_names) {
  KernelOffers offers(release_less);
  std::set<std::string> names;
  for (const auto& line : lines_of(package_names)) names.insert(line);
  for (const auto& name : names) {
    for (const char* prefix : {"linux-image-", "linux-binary-"}) {
      if (!name.starts_with(prefix) || !name.ends_with(kKernelFlavour)) continue;
      std::string release = name.substr(std::string(prefix).size());
      if (series_of_release(release).empty()) continue;  // metapackages, "unsigned-..."
      KernelOffer offer;
      // From 6.19 on linux-image-X is empty and linux-binary-X has the image (facts.md 1).
      bool split = names.count("linux-binary-" + release) != 0;
      offer.image_package = (split ? "linux-binary-" : "linux-image-") + release;
      offer.config_package = split ? "linux-base-" + release : offer.image_package;
      offer.debuginfo = names.count("linux-image-" + release + "-dbg") != 0;
      offers[release] = offer;
    }
  }
  return offers;
}

Status PrivateApt::set_up() {
  for (const char* keyring : {"debian-archive-keyring.gpg", "debian-archive-keyring.pgp"}) {
    std::error_code ec;
    if (fs::exists(host_.keyring_dir + "/" + keyring, ec)) keyring_ = host_.keyring_dir + "/" + keyring;
  }
  if (keyring_.empty()) {
    return Error::not_found("Debian's archive keyring is not in " + host_.keyring_dir +
                            ": signatures cannot be verified")
        .with_hint("apt-get install debian-archive-keyring");
  }
  std::error_code ec;
  for (const char* dir : {"/lists/partial", "/cache/archives/partial", "/state"}) {
    fs::create_directories(state_ + dir, ec);
    if (ec) return Error::system("cannot create " + state_ + dir + ": " + ec.message());
  }
  return write_config();
}

// Sites of Debian archives that this host already uses, best first.
Result<std::vector<std::string>> PrivateApt::sites() {
  auto run = host_.run({{"apt-get", "indextargets", "--format", "$(SITE)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)"},
                        {"LC_ALL=C"},
                        ""});
  if (!run) return std::move(run).error();
  std::vector<std::string> known, possible;
  for (const auto& line : lines_of(run->out)) {
    std::istringstream fields(line);
    std::string site, release, component, origin;
    std::getline(fields, site, '|');
    std::getline(fields, release, '|');
    std::getline(fields, component, '|');
    std::getline(fields, origin, '|');
    bool other_archive = release.find("security") != std::string::npos || site.starts_with("cdrom:") ||
                         (component != "main" && !component.empty());
    if (site.empty() || site.find_first_of(" \t[]") != std::string::npos || other_archive) continue;
    auto& list =
        origin == "Debian" ? known : possible;  // the origin is known only after the host's own update
    if (std::find(list.begin(), list.end(), site) == list.end()) list.push_back(site);
  }
  if (known.empty()) known = possible;
  if (known.size() > 4) known.resize(4);
  return known;
}

Status PrivateApt::update(const std::string& site) {
  std::ofstream(staging_ + "/sources.list")
      << "deb [signed-by=" << keyring_ << "] " << site << " " << kKernelSuite << " main\n";
  auto run = apt({"apt-get", "-q", "update"});
  if (!run) return std::move(run).error();
  if (run->exit_code != 0 || run->out.find("\nErr:") != std::string::npos) {
    return Error::system("apt-get update of " + std::string(kKernelSuite) + " from " + site + ": " +
                         complaint(run->out));
  }
  return {};
}

Result<KernelOffers> PrivateApt::offers() {
  auto run = apt({"apt-cache", "pkgnames", "linux-"});
  if (!run) return std::move(run).error();
  if (run->exit_code != 0) return Error::system("apt-cache pkgnames: " + complaint(run->out));
  return parse_kernel_offers(run->out);
}

// "13 MB", or empty.
std::string PrivateApt::size_of(const std::string& package) {
  auto run = apt({"apt-cache", "show", "--no-all-versions", package});
  if (!run) return "";
  for (const auto& line : lines_of(run->out)) {
    if (!line.starts_with("Size: ")) continue;
    unsigned long long bytes = std::strtoull(line.c_str() + 6, nullptr, 10);
    return std::to_string((bytes + 999999) / 1000000) + " MB";
  }
  return "";
}

// Downloads, with apt checking the hash against the signed index. Returns the .deb's path.
Result<std::string> PrivateApt::download(const std::string& package) {
  std::string dir = staging_ + "/debs";
  std::error_code ec;
  fs::create_directories(dir, ec);
  auto run = apt({"apt-get", "-q", "download", package}, dir);
  if (!run) return std::move(run).error();
  if (run->exit_code != 0) return Error::system("download of " + package + ": " + complaint(run->out));
  for (fs::directory_iterator it(dir, ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
    if (it->path().filename().string().starts_with(package + "_")) return it->path().string();
  }
  return Error::system("download of " + package + ": apt-get said it did, but no file is there");
}

Status PrivateApt::write_config() {
  auto dump = host_.run({{"apt-config", "dump", "Acquire"}, {"LC_ALL=C"}, ""});
  if (!dump) {
    return std::move(dump).error().with_hint(
        "kernels are fetched with apt's programs; elsewhere, give --kernel a "
        "vmlinuz or a built source tree");
  }
  std::string path = staging_ + "/apt.conf";
  std::ofstream conf(path);
  fs::permissions(path,
                  fs::perms::owner_read | fs::perms::owner_write);  // a proxy's address may hold a password
  conf << "Dir::Etc::Parts \"/dev/null\";\nDir::Etc::Main \"/dev/null\";\n"
       << "Dir::Etc::Preferences \"/dev/null\";\nDir::Etc::PreferencesParts \"/dev/null\";\n"
       << "Dir::Etc::SourceList \"" << staging_ << "/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\n"
       << "Dir::State \"" << state_ << "/state\";\nDir::State::Lists \"" << state_ << "/lists\";\n"
       << "Dir::State::Status \"/dev/null\";\nDir::Cache \"" << state_ << "/cache\";\n"
       << "Dir::Log \"" << state_ << "/state\";\n"
       << "APT::Architecture \"amd64\";\nAPT::Update::Error-Mode \"any\";\n"
       << "APT::Get::AllowUnauthenticated \"false\";\nAPT::Sandbox::User \"\";\n"
       << "Acquire::Languages \"none\";\nAcquire::Retries \"2\";\n"
       << "Acquire::http::Timeout \"20\";\nAcquire::https::Timeout \"20\";\n";
  for (const auto& line : lines_of(dump->out)) {
    for (const char* prefix : {"Acquire::http", "Acquire::ftp", "Acquire::ForceIPv", "Acquire::proxy"}) {
      if (line.starts_with(prefix) && line.ends_with("\";")) conf << line << "\n";
    }
  }
  conf << "Acquire::AllowInsecureRepositories \"false\";\nAcquire::AllowWeakRepositories \"false\";\n"
       << "Acquire::AllowDowngradeToInsecureRepositories \"false\";\n";
  conf.close();
  if (!conf) return Error::exhausted("cannot write " + path);
  return {};
}

Result<CommandOutput> PrivateApt::apt(std::vector<std::string> argv, const std::string& cwd) {
  return host_.run({std::move(argv), {"LC_ALL=C", "APT_CONFIG=" + staging_ + "/apt.conf"}, cwd});
}

FetchHost real_fetch_host() {
  FetchHost host;
  host.run = [](const FetchCommand& command) -> Result<CommandOutput> {
    ChildOptions options;
    if (!command.cwd.empty()) options.argv = {"env", "--chdir=" + command.cwd};
    options.argv.insert(options.argv.end(), command.argv.begin(), command.argv.end());
    options.env = command.env;
    options.own_session = false;  // Ctrl-C ends a long download
    auto run = run_captured(std::move(options), kCommandLimit);
    if (!run) return std::move(run).error();
    return CommandOutput{run->exit.signal != 0 ? 128 + run->exit.signal : run->exit.exit_code,
                         std::move(run->out)};
  };
  return host;
}

}  // namespace ktstr
