#include "launcher/run/folders.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <cstdio>
#include <filesystem>
#include <functional>

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "ktstr-bus-";

std::string bus_root(const FolderOptions& options) {
  // 107 bytes for a socket's path, of which our names take up to 60.
  bool usable = !options.runtime_dir.empty() && options.runtime_dir.size() < 40 &&
                ::access(options.runtime_dir.c_str(), W_OK) == 0;
  return usable ? options.runtime_dir : "/tmp";
}

Status make_folders(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return Error::system("create folder " + path + ": " + error.message());
  return {};
}

// Calls visit(path, held) for each bus folder of this user; while visit runs, a folder that nobody held is locked.
// `kind` is LOCK_EX to remove it, LOCK_SH to look (two that look do not take each other for a run).
void for_each_bus_folder(const FolderOptions& options, int kind,
                         const std::function<void(const std::string&, bool)>& visit) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(bus_root(options), error)) {
    if (!entry.path().filename().string().starts_with(kPrefix)) continue;
    struct stat st{};
    if (::lstat(entry.path().c_str(), &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != ::geteuid()) continue;
    UniqueFd lock(::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (lock) visit(entry.path().string(), ::flock(lock.get(), kind | LOCK_NB) != 0);
  }
}

}  // namespace

std::string make_run_id(uint64_t unix_ns, unsigned salt) {
  time_t seconds = static_cast<time_t>(unix_ns / 1'000'000'000u);
  tm t{};
  ::gmtime_r(&seconds, &t);
  char stamp[32], id[48];
  ::strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &t);
  std::snprintf(id, sizeof id, "%s-%04x", stamp, salt & 0xffffu);
  return id;
}

std::string state_folder(const FolderOptions& options) {
  std::string state = options.state_home;
  if (state.empty() && !options.home.empty()) state = options.home + "/.local/state";
  return state.empty() ? state : state + "/ktstr";
}

Result<std::string> make_artifact_folder(const FolderOptions& options) {
  std::string path = options.out;
  if (path.empty()) {
    const std::string state = state_folder(options);
    if (state.empty())
      return Error::invalid("no place for the run's files: neither XDG_STATE_HOME nor HOME is set")
          .with_hint("name a folder with --out DIR");
    path = state + "/runs/" + options.run_id;
  }
  if (auto s = make_folders(path); !s) return std::move(s).error();
  std::error_code error;
  std::string absolute = fs::absolute(path, error).lexically_normal().string();
  return error ? path : absolute;
}

Result<std::string> make_test_folder(const std::string& artifacts, const std::string& test_name) {
  for (int n = 1; n < 10'000; ++n) {
    std::string path = artifacts + "/" + test_name + (n > 1 ? "-" + std::to_string(n) : "");
    if (fs::exists(path + "/events.ktlog")) continue;
    if (auto s = make_folders(path); !s) return std::move(s).error();
    // Another test of this run, or another run with the same --out, may look at this moment: who makes the file has the folder.
    UniqueFd claim(
        ::open((path + "/diagnostics.log").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (claim) return path;
    if (errno != EEXIST) return Error::from_errno("create " + path + "/diagnostics.log");
  }
  return Error::exhausted(artifacts + ": 10000 runs of " + test_name + " stand there")
      .with_hint("use a new --out");
}

Result<BusFolder> BusFolder::create(const FolderOptions& options) {
  std::string path;
  // Another run's sweep may lock or remove the folder before we have locked it: then a new name.
  for (int i = 0; i < 20; ++i) {
    path = bus_root(options) + "/" + kPrefix + "XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return Error::from_errno("create " + path);
    UniqueFd lock(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) continue;
    struct stat st{};
    if (::stat(path.c_str(), &st) == 0) return BusFolder(std::move(path), std::move(lock));
  }
  return Error::system("lock " + path + ": other runs keep taking it away");
}

BusFolder::~BusFolder() {
  if (path_.empty()) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

int BusFolder::sweep(const FolderOptions& options) {
  int removed = 0;
  for_each_bus_folder(options, LOCK_EX, [&](const std::string& path, bool held) {
    if (held) return;
    std::error_code ignored;
    if (fs::remove_all(path, ignored) > 0) ++removed;
  });
  return removed;
}

std::vector<std::string> BusFolder::held(const FolderOptions& options) {
  std::vector<std::string> paths;
  for_each_bus_folder(options, LOCK_SH, [&](const std::string& path, bool held) {
    if (held) paths.push_back(path);
  });
  return paths;
}

}  // namespace ktstr
