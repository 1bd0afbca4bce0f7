#include "launcher/kernel/kernel_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "base/json.h"
#include "base/small_files.h"
#include "base/unique_fd.h"
#include "bpf/kernel_image.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr char kMetadata[] = "kernel.json";

// Numbers of a release in order: "7.2.13+deb14-cloud" -> 7, 2, 13. Stops at the first that is not preceded by
// a dot.
std::vector<unsigned long> release_numbers(const std::string& release) {
  std::vector<unsigned long> numbers;
  for (size_t at = 0; at < release.size() && release[at] >= '0' && release[at] <= '9';) {
    unsigned long n = 0;
    for (; at < release.size() && release[at] >= '0' && release[at] <= '9'; ++at) {
      n = std::min(n * 10 + static_cast<unsigned long>(release[at] - '0'), 1000000000ul);
    }
    numbers.push_back(n);
    if (at >= release.size() || release[at] != '.') break;
    ++at;
  }
  return numbers;
}

// Changes when somebody writes the file; an entry's folder may be renamed.
std::string stamp_of(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return "";
  return std::to_string(st.st_size) + " bytes of " + std::to_string(st.st_mtim.tv_sec) + "." +
         std::to_string(st.st_mtim.tv_nsec);
}

bool is_entry_name(const std::string& name) {
  return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos;
}

std::string now_utc() {
  std::time_t now = std::time(nullptr);
  std::tm tm{};
  gmtime_r(&now, &tm);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
  return text;
}

}  // namespace

std::string series_of_release(const std::string& release) {
  auto numbers = release_numbers(release);
  if (numbers.size() < 2) return "";
  return std::to_string(numbers[0]) + "." + std::to_string(numbers[1]);
}

bool release_less(const std::string& a, const std::string& b) {
  auto na = release_numbers(a), nb = release_numbers(b);
  if (na != nb) return std::lexicographical_compare(na.begin(), na.end(), nb.begin(), nb.end());
  return a < b;
}

Result<std::string> KernelCache::default_dir(const std::function<const char*(const char*)>& getenv) {
  const char* xdg = getenv("XDG_CACHE_HOME");
  if (xdg != nullptr && xdg[0] == '/') return std::string(xdg) + "/ktstr/kernels";
  const char* home = getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache/ktstr/kernels";
  return Error::not_found("no place for the kernel cache: neither HOME nor XDG_CACHE_HOME is set")
      .with_hint("set XDG_CACHE_HOME to a directory you can write to");
}

Result<CachedKernel> KernelCache::load(const std::string& name) const {
  CachedKernel kernel;
  kernel.dir = dir_ + "/" + name;
  kernel.image = kernel.dir + "/vmlinuz";
  kernel.btf = kernel.dir + "/btf";
  std::error_code ec;
  if (!fs::is_regular_file(kernel.image, ec)) return Error::not_found(kernel.image + ": missing");
  if (!fs::is_regular_file(kernel.btf, ec)) return Error::not_found(kernel.btf + ": missing");
  auto json = parse_json_file(kernel.dir + "/" + kMetadata);
  if (!json.is_object()) return Error::invalid(kernel.dir + "/" + kMetadata + ": not readable");
  auto text = [&](const char* key) {
    auto it = json.find(key);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  kernel.release = text("release");
  if (kernel.release != name) return Error::invalid(kernel.dir + ": is not the entry of " + kernel.release);
  kernel.series = series_of_release(kernel.release);
  kernel.banner = text("banner");
  kernel.build_id = text("build_id");
  kernel.package = text("package");
  kernel.fetched = text("fetched");
  if (auto damaged = json.find("damaged_kfuncs"); damaged != json.end() && damaged->is_array()) {
    for (const auto& name_of : *damaged)
      if (name_of.is_string()) kernel.damaged_kfuncs.push_back(name_of.get<std::string>());
  } else if (auto btf = read_binary(kernel.btf, size_t{256} << 20)) {  // an entry of an older version
    kernel.damaged_kfuncs = damaged_kfuncs({reinterpret_cast<const uint8_t*>(btf->data()), btf->size()});
  }
  kernel.checked = !text("checked").empty() && text("checked") == stamp_of(kernel.image);
  if (fs::is_regular_file(kernel.dir + "/vmlinux", ec)) kernel.debuginfo = kernel.dir + "/vmlinux";
  return kernel;
}

Result<std::vector<CachedKernel>> KernelCache::list() const {
  std::vector<CachedKernel> kernels;
  std::error_code ec;
  fs::directory_iterator it(dir_, ec);
  if (ec == std::errc::no_such_file_or_directory) return kernels;
  if (ec) return Error::system("kernel cache " + dir_ + ": " + ec.message());
  for (; it != fs::directory_iterator(); it.increment(ec)) {
    if (ec) return Error::system("kernel cache " + dir_ + ": " + ec.message());
    std::string name = it->path().filename();
    if (!is_entry_name(name)) continue;
    auto kernel = load(name);
    if (kernel) kernels.push_back(std::move(*kernel));
  }
  std::sort(kernels.begin(), kernels.end(),
            [](const CachedKernel& a, const CachedKernel& b) { return release_less(b.release, a.release); });
  return kernels;
}

Result<std::optional<CachedKernel>> KernelCache::find(const std::string& spec) const {
  auto kernels = list();
  if (!kernels) return std::move(kernels).error();
  std::optional<CachedKernel> newest;
  for (CachedKernel& kernel : *kernels) {
    if (!spec.empty() && kernel.release != spec && kernel.series != spec) continue;
    if (newest && kernel.series != newest->series) break;
    const bool sound = kernel.damaged_kfuncs.empty();
    if (!newest || sound) newest = std::move(kernel);
    if (sound) break;
  }
  return newest;
}

KernelCache::Lock::Lock(Lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
KernelCache::Lock::~Lock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<KernelCache::Lock> KernelCache::lock(const std::function<void()>& waiting) const {
  std::error_code ec;
  fs::create_directories(dir_, ec);
  if (ec) {
    return Error::system("cannot create the kernel cache " + dir_ + ": " + ec.message())
        .with_hint("set XDG_CACHE_HOME to a directory you can write to");
  }
  std::string path = dir_ + "/.lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) return Error::from_errno("cannot open " + path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (waiting) waiting();
    int rc;
    do rc = flock(fd.get(), LOCK_EX);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) return Error::from_errno("cannot lock " + path);
  }
  for (fs::directory_iterator it(dir_, ec); !ec && it != fs::directory_iterator(); it.increment(ec)) {
    std::string name = it->path().filename();
    std::error_code ignored;
    if (name.rfind(".tmp-", 0) == 0) fs::remove_all(it->path(), ignored);
  }
  return Lock(fd.release());
}

Result<std::string> KernelCache::make_staging() const {
  std::string path = dir_ + "/.tmp-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return Error::from_errno("cannot create a directory in " + dir_);
  fs::permissions(path, fs::perms(0755));
  return path;
}

Result<CachedKernel> KernelCache::install(const std::string& staging, const std::string& package) const {
  auto image = read_kernel_image(staging + "/vmlinuz");
  if (!image) return std::move(image).error();
  if (auto usable = check_kernel_usable(*image); !usable) return std::move(usable).error();
  if (!is_entry_name(image->release))
    return Error::invalid("a kernel calls itself \"" + image->release + "\"");

  nlohmann::json json = {{"release", image->release},
                         {"banner", image->banner},
                         {"build_id", image->build_id},
                         {"package", package},
                         {"fetched", now_utc()},
                         {"damaged_kfuncs", damaged_kfuncs(image->btf)},
                         {"checked", stamp_of(staging + "/vmlinuz")}};
  std::string text = json_text(json, 2) + "\n";
  std::string_view btf(reinterpret_cast<const char*>(image->btf.data()), image->btf.size());
  if (auto s = write_file_atomically(staging + "/btf", btf, {.sync = false}); !s) return std::move(s).error();
  if (auto s = write_file_atomically(staging + "/" + kMetadata, text, {.sync = false}); !s)
    return std::move(s).error();

  std::string final_dir = dir_ + "/" + image->release;
  std::error_code ec;
  if (fs::exists(final_dir, ec)) {
    // Debug info is large: an older entry of the same build hands it on.
    auto old = load(image->release);
    if (old && !old->debuginfo.empty() && old->build_id == image->build_id &&
        !fs::exists(staging + "/vmlinux", ec)) {
      fs::rename(old->debuginfo, staging + "/vmlinux", ec);
    }
    auto aside = make_staging();
    if (!aside) return std::move(aside).error();
    fs::rename(final_dir, *aside + "/old", ec);
    if (ec) return Error::system("cannot replace " + final_dir + ": " + ec.message());
    fs::rename(staging, final_dir, ec);
    std::error_code ignored;
    fs::remove_all(*aside, ignored);
  } else {
    fs::rename(staging, final_dir, ec);
  }
  if (ec) return Error::system("cannot install " + final_dir + ": " + ec.message());
  return load(image->release);
}

void KernelCache::remember_checked(const CachedKernel& kernel) const {
  auto json = parse_json_file(kernel.dir + "/" + kMetadata);
  if (!json.is_object()) return;
  json["checked"] = stamp_of(kernel.image);
  (void)write_file_atomically(kernel.dir + "/" + kMetadata, json_text(json, 2) + "\n", {.sync = false});
}

Result<CachedKernel> KernelCache::install_debuginfo(const std::string& release,
                                                    const std::string& vmlinux) const {
  std::error_code ec;
  fs::rename(vmlinux, dir_ + "/" + release + "/vmlinux", ec);
  if (ec) return Error::system("cannot install the debug info of " + release + ": " + ec.message());
  return load(release);
}

Result<std::vector<CachedKernel>> KernelCache::remove_all_but(size_t keep) const {
  auto all = list();
  if (!all) return std::move(all).error();
  std::map<std::string, size_t> kept;
  std::vector<CachedKernel> removed;
  for (const CachedKernel& kernel : *all) {  // newest first
    if (kept[kernel.series]++ < keep) continue;
    // Out of sight at once: what a killed process leaves is removed with the next lock.
    std::error_code ec;
    const std::string doomed = dir_ + "/.tmp-" + kernel.release;
    fs::rename(kernel.dir, doomed, ec);
    if (!ec) fs::remove_all(doomed, ec);
    if (ec) return Error::system("cannot remove " + kernel.dir + ": " + ec.message());
    removed.push_back(kernel);
  }
  return removed;
}

}  // namespace ktstr
