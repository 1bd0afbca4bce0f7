// QEMU as an ordinary user. A guest that finds a fault in QEMU gets what QEMU may do: where root starts a run, that is nothing.
//
// The user is a number that nobody has. It can reach none of root's folders, so QEMU is given what it needs: descriptors, and
// /proc/self/fd/N in place of paths. Start, control and files of a VM are the same for every other user.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/child.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "launcher/vm/qemu_command.h"

namespace ktstr {

// The user for one VM's QEMU; each VM has its own. nullopt: QEMU keeps the launcher's user, because this is not root or may not change
// its user, because the spec gives QEMU words of its own (their files are the user's), or because others cannot reach QEMU's program.
std::optional<ChildUser> qemu_user(const QemuOptions& options);

// Files that QEMU opens under its own user. Lives until QEMU was started.
class LentFiles {
 public:
  explicit LentFiles(const ChildUser& user) : user_(user) {}
  // Replaces the paths in `options` by those of descriptors. The kernel is left as it is: a private one is copied into memory.
  // Files of the VM alone (initrd, carriers) get QEMU's group or owner.
  Status lend(QemuOptions& options);
  // To be inherited.
  std::vector<int> fds() const;

 private:
  Status read_only(std::string& path, bool of_this_vm);
  Status writable(std::string& path);
  std::string keep(UniqueFd fd);

  ChildUser user_;
  std::vector<UniqueFd> files_;
};

}  // namespace ktstr
