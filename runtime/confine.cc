#include "runtime/confine.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <span>

#include "base/unique_fd.h"

namespace ktstr {
namespace {

// A list of what is refused, not of what is allowed: a newer C library may use calls that we do not know, and a helper that
// fails at one of them loses evidence. What is listed gives rights over other processes, the kernel or the network.
constexpr const char* kRefused[] = {"execve",
                                    "execveat",
                                    "ptrace",
                                    "process_vm_readv",
                                    "process_vm_writev",
                                    "kcmp",
                                    "pidfd_getfd",
                                    "bpf",
                                    "perf_event_open",
                                    "userfaultfd",
                                    "io_uring_setup",
                                    "io_uring_enter",
                                    "io_uring_register",
                                    "mount",
                                    "umount2",
                                    "move_mount",
                                    "open_tree",
                                    "fsopen",
                                    "fsconfig",
                                    "fsmount",
                                    "fspick",
                                    "mount_setattr",
                                    "pivot_root",
                                    "chroot",
                                    "setns",
                                    "unshare",
                                    "init_module",
                                    "finit_module",
                                    "delete_module",
                                    "kexec_load",
                                    "kexec_file_load",
                                    "reboot",
                                    "swapon",
                                    "swapoff",
                                    "acct",
                                    "quotactl",
                                    "add_key",
                                    "request_key",
                                    "keyctl",
                                    "open_by_handle_at",
                                    "personality",
                                    "settimeofday",
                                    "clock_settime",
                                    "clock_adjtime",
                                    "adjtimex",
                                    "sethostname",
                                    "setdomainname",
                                    "iopl",
                                    "ioperm",
                                    "setuid",
                                    "setgid",
                                    "setreuid",
                                    "setregid",
                                    "setresuid",
                                    "setresgid",
                                    "setgroups",
                                    "capset",
                                    "mknod",
                                    "mknodat",
                                    "syslog",
                                    "vhangup",
                                    "nfsservctl",
                                    "lookup_dcookie",
                                    "move_pages",
                                    "migrate_pages",
                                    "mbind",
                                    "set_mempolicy"};

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

Status seccomp_error(const char* what, int code) {
  errno = -code;
  return Error::from_errno(std::string("seccomp filter: ") + what);
}

// clone() makes a thread only; clone3, whose flags a filter cannot see, is "not there", so that libc takes clone().
int refuse_new_processes(scmp_filter_ctx filter) {
  for (const char* call : {"fork", "vfork"})
    if (int code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(call), 0))
      return code;
  if (int code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0)) return code;
  return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                          SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
}

Status filter_calls(const Confinement& wanted) {
  Filter filter(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  if (!filter) return Error::system("seccomp filter: cannot be made");
  for (const char* name : kRefused) {
    const int call = seccomp_syscall_resolve_name(name);
    if (call == __NR_SCMP_ERROR) continue;  // not on this architecture
    if (int code = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0))
      return seccomp_error(name, code);
  }
  // The bus is local sockets.
  if (int code = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
                                  SCMP_A0(SCMP_CMP_NE, AF_UNIX)))
    return seccomp_error("socket", code);
  if (!wanted.may_fork)
    if (int code = refuse_new_processes(filter.get())) return seccomp_error("clone", code);
  if (int code = seccomp_load(filter.get())) {
    if (code == -EINVAL || code == -ENOSYS)
      return Error::unsupported("the host's kernel has no seccomp filters");
    return seccomp_error("load", code);
  }
  return {};
}

constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
// All rights of Landlock's first version: those that every kernel with Landlock knows.
constexpr uint64_t kAll = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
// Needed by the C library after the start: time zone, locale, unwinder, conversion of names.
constexpr const char* kSystem[] = {"/usr", "/lib", "/lib64", "/etc", "/dev", "/proc/self"};

Status allow(int rules, const std::string& path, uint64_t rights) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd) return errno == ENOENT ? Status() : Error::from_errno("open " + path);
  landlock_path_beneath_attr rule{};
  rule.allowed_access = rights;
  rule.parent_fd = fd.get();
  if (::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return Error::from_errno("Landlock rule for " + path);
  return {};
}

Status fence_files(const Confinement& wanted) {
  landlock_ruleset_attr attr{};
  attr.handled_access_fs = kAll;
  UniqueFd rules(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0)));
  if (!rules) return Error::unsupported("the host's kernel has no Landlock");
  for (const char* path : kSystem)
    if (auto s = allow(rules.get(), path, kRead); !s) return s;
  if (auto s = allow(rules.get(), "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
      !s)
    return s;
  for (const std::string& path : wanted.readable)
    if (auto s = allow(rules.get(), path, kRead); !s) return s;
  for (const std::string& path : wanted.writable)
    if (auto s = allow(rules.get(), path, kAll & ~static_cast<uint64_t>(LANDLOCK_ACCESS_FS_EXECUTE)); !s)
      return s;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Error::from_errno("no new privileges");
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) return Error::from_errno("Landlock");
  return {};
}

}  // namespace

Status confine(const Confinement& wanted) {
  Status files;
  if (!wanted.readable.empty() || !wanted.writable.empty()) files = fence_files(wanted);
  if (auto s = filter_calls(wanted); !s) return s;
  return files;
}

}  // namespace ktstr
