#include "launcher/vm/template_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr char kEnding[] = ".ktvm";
constexpr char kDraftEnding[] = ".ktvm.new";
constexpr char kLockEnding[] = ".lock";

// A lock on a file that still has its name: `clean` may have removed it meanwhile.
std::optional<UniqueFd> lock_file(const std::string& path, bool create) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0600));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
  struct stat ours{}, named{};
  if (::fstat(fd.get(), &ours) != 0 || ::stat(path.c_str(), &named) != 0 || ours.st_ino != named.st_ino)
    return std::nullopt;
  return fd;
}

// Removes a lock that nobody holds, and the draft of a process that died with it. Bytes that became free.
uint64_t remove_lock(const std::string& name) {
  auto lock = lock_file(name, false);
  if (!lock) return 0;  // its holder writes a draft
  uint64_t freed = 0;
  const std::string draft = name.substr(0, name.size() - std::string(kLockEnding).size()) + kDraftEnding;
  struct stat st{};
  if (::lstat(draft.c_str(), &st) == 0 && ::unlink(draft.c_str()) == 0)
    freed = static_cast<uint64_t>(st.st_blocks) * 512;
  ::unlink(name.c_str());
  return freed;
}

std::vector<std::string> names_in(const std::string& dir) {
  std::vector<std::string> names;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(dir, ec)) names.push_back(entry.path());
  return names;
}

}  // namespace

Result<std::string> TemplateStore::default_dir(const std::function<const char*(const char*)>& getenv) {
  const char* xdg = getenv("XDG_CACHE_HOME");
  if (xdg != nullptr && xdg[0] == '/') return std::string(xdg) + "/ktstr/templates";
  const char* home = getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache/ktstr/templates";
  return Error::not_found("no place for templates: neither HOME nor XDG_CACHE_HOME is set")
      .with_hint("set XDG_CACHE_HOME to a directory you can write to");
}

bool TemplateStore::has(const std::string& key) const { return ::access(path(key).c_str(), F_OK) == 0; }

Result<std::optional<UniqueFd>> TemplateStore::try_lock(const std::string& key) {
  std::error_code ec;
  fs::create_directories(dir_, ec);
  ::chmod(dir_.c_str(), 0700);
  const std::string name = dir_ + "/" + key + kLockEnding;
  if (auto lock = lock_file(name, true)) {
    ::unlink(draft(key).c_str());  // of a process that died
    return std::optional<UniqueFd>(std::move(lock));
  }
  if (::access(dir_.c_str(), W_OK) != 0) return Error::from_errno("templates in " + dir_);
  return std::optional<UniqueFd>();
}

Status TemplateStore::publish(const std::string& key) {
  if (::rename(draft(key).c_str(), path(key).c_str()) != 0)
    return Error::from_errno("the template " + path(key));
  touch(key);
  auto all = list();
  uint64_t total = 0;
  for (const StoredTemplate& one : all) {
    total += one.bytes;
    if (total > cap_ && one.key != key) remove(one.key);
  }
  // Those of templates that are gone.
  for (const std::string& name : names_in(dir_)) {
    if (!name.ends_with(kLockEnding)) continue;
    const std::string its = fs::path(name).stem();
    if (its != key && !has(its)) remove_lock(name);
  }
  return {};
}

void TemplateStore::touch(const std::string& key) const {
  ::utimensat(AT_FDCWD, path(key).c_str(), nullptr, 0);
}

void TemplateStore::remove(const std::string& key) const { ::unlink(path(key).c_str()); }

std::vector<StoredTemplate> TemplateStore::list() const {
  std::vector<StoredTemplate> all;
  std::vector<std::pair<timespec, size_t>> order;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(dir_, ec)) {
    const std::string name = entry.path().filename();
    struct stat st{};
    if (!name.ends_with(kEnding) || ::lstat(entry.path().c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    order.emplace_back(st.st_mtim, all.size());
    all.push_back({.key = name.substr(0, name.size() - std::string(kEnding).size()),
                   .path = entry.path(),
                   .bytes = static_cast<uint64_t>(st.st_blocks) * 512,
                   .used_unix_s = static_cast<uint64_t>(st.st_mtim.tv_sec)});
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.tv_sec, a.first.tv_nsec) > std::pair(b.first.tv_sec, b.first.tv_nsec);
  });
  std::vector<StoredTemplate> sorted;
  for (const auto& [time, index] : order) sorted.push_back(std::move(all[index]));
  return sorted;
}

uint64_t TemplateStore::clean() {
  uint64_t freed = 0;
  for (const std::string& name : names_in(dir_)) {
    struct stat st{};
    if (::lstat(name.c_str(), &st) != 0) continue;
    if (name.ends_with(kEnding) && ::unlink(name.c_str()) == 0)
      freed += static_cast<uint64_t>(st.st_blocks) * 512;
    if (name.ends_with(kLockEnding)) freed += remove_lock(name);
  }
  return freed;
}

}  // namespace ktstr
