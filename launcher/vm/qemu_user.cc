#include "launcher/vm/qemu_user.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "launcher/vm/program_files.h"

namespace ktstr {
namespace {

// systemd gives such numbers to its dynamic users (systemd.exec(5)): no file belongs to them.
constexpr uid_t kFirst = 61184, kCount = 4336;

// In this host's own list: a directory server that is slow must not make every VM slow.
bool has_a_name(uid_t uid) {
  std::unique_ptr<FILE, int (*)(FILE*)> list(std::fopen("/etc/passwd", "re"), &std::fclose);
  passwd entry{};
  passwd* found = nullptr;
  char room[4096];
  while (list && ::fgetpwent_r(list.get(), &entry, room, sizeof room, &found) == 0)
    if (entry.pw_uid == uid) return true;
  return false;
}

uid_t a_number_that_nobody_has() {
  static std::atomic<uid_t> next{0};
  for (uid_t tried = 0; tried < 64; ++tried) {
    const uid_t uid = kFirst + (static_cast<uid_t>(::getpid()) * 8 + next++) % kCount;
    if (!has_a_name(uid)) return uid;
  }
  return 65534;  // nobody
}

// By a user without any rights of its own.
bool others_can_run(const std::string& program) {
  std::error_code ec;
  std::filesystem::path path = std::filesystem::canonical(program, ec);
  if (ec) return false;
  for (bool file = true; path.has_relative_path(); path = path.parent_path(), file = false) {
    struct stat st{};
    const mode_t needed = file ? S_IXOTH | S_IROTH : S_IXOTH;
    if (::stat(path.c_str(), &st) != 0 || (st.st_mode & needed) != needed) return false;
  }
  return true;
}

std::string program_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  return program.find('/') != std::string::npos ? program : find_program(program, path ? path : "");
}

// Not in a container without CAP_SETUID, nor in a user namespace that does not map the number.
bool can_become(const ChildUser& user) {
  ChildOptions options;
  options.argv = {"true"};
  options.user = user;
  auto child = Child::spawn(options);
  return child && child->wait(std::chrono::seconds(10)).value_or(ChildExit{1, 0}).clean();
}

Result<UniqueFd> copy_in_memory(int file, uint64_t size) {
  UniqueFd copy(::memfd_create("ktstr-vm-file", MFD_CLOEXEC));
  if (!copy) return Error::from_errno("memfd");
  for (uint64_t left = size; left > 0;) {
    const ssize_t n = ::sendfile(copy.get(), file, nullptr, left);
    if (n <= 0) return Error::from_errno("copy into memory");
    left -= static_cast<uint64_t>(n);
  }
  return copy;
}

}  // namespace

std::optional<ChildUser> qemu_user(const QemuOptions& options) {
  if (::geteuid() != 0 || !options.qemu_args.empty()) return std::nullopt;
  if (!others_can_run(program_path(options.qemu))) return std::nullopt;
  const uid_t uid = a_number_that_nobody_has();
  ChildUser user{.uid = uid, .gid = uid, .groups = {}};
  static const bool can = can_become(user);
  if (!can) return std::nullopt;
  struct stat kvm{};
  if (options.accelerator == "kvm" && ::stat("/dev/kvm", &kvm) == 0) user.groups.push_back(kvm.st_gid);
  return user;
}

std::string LentFiles::keep(UniqueFd fd) {
  files_.push_back(std::move(fd));
  return "/proc/self/fd/" + std::to_string(files_.back().get());
}

Status LentFiles::read_only(std::string& path, bool of_this_vm) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st{};
  if (!fd || ::fstat(fd.get(), &st) != 0) return Error::from_errno(path);
  if ((st.st_mode & S_IROTH) == 0) {
    const bool given = of_this_vm && ::fchown(fd.get(), static_cast<uid_t>(-1), user_.gid) == 0 &&
                       ::fchmod(fd.get(), (st.st_mode & 0700) | S_IRGRP) == 0;
    if (!given) {
      auto copy = copy_in_memory(fd.get(), static_cast<uint64_t>(st.st_size));
      if (!copy) return std::move(copy).error().within(path);
      fd = std::move(*copy);
    }
  }
  path = keep(std::move(fd));
  return {};
}

Status LentFiles::writable(std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd || ::fchownat(fd.get(), "", user_.uid, user_.gid, AT_EMPTY_PATH) != 0)
    return Error::from_errno("give QEMU's user " + path);
  path = keep(std::move(fd));
  return {};
}

Status LentFiles::lend(QemuOptions& options) {
  if (auto s = read_only(options.kernel, false); !s) return s;
  if (!options.initrd.empty())
    if (auto s = read_only(options.initrd, true); !s) return s;
  if (!options.deterministic) return {};
  DeterministicMachine& machine = *options.deterministic;
  if (!machine.order_library.empty())
    if (auto s = read_only(machine.order_library, false); !s) return s;
  for (std::string* path :
       {&machine.console_file, &machine.channel_file, &machine.bell_path, &machine.turns_file})
    if (!path->empty())
      if (auto s = writable(*path); !s) return s;
  return {};
}

std::vector<int> LentFiles::fds() const {
  std::vector<int> out;
  for (const UniqueFd& file : files_) out.push_back(file.get());
  return out;
}

}  // namespace ktstr
