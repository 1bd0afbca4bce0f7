// Starts a VM: by booting it, or from a template of the same VM, which takes about a tenth of a second.
//
// A template is a VM that was saved when its init waited for its work (guest/init/handover.h). It depends on nothing but the
// command line of QEMU, the files that this names, and QEMU itself: template_key() is their hash.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/vm/guest_ram.h"
#include "launcher/vm/initramfs.h"
#include "launcher/vm/qemu_command.h"
#include "launcher/vm/qemu_process.h"
#include "launcher/vm/template_file.h"
#include "runtime/qmp_client.h"

namespace ktstr {

struct RunningVm {
  std::optional<QmpClient> control;  // the launcher's own; only where it was asked for
  GuestRam ram;
  std::unique_ptr<QemuProcess> qemu;
  QemuOptions options;            // with the RAM's descriptor
  std::vector<std::string> argv;  // of QEMU, with paths also where it was lent descriptors (qemu_user.h)
};

// RAM is made here; options.console_fd and the like are inherited. `control`: the VM gets one, and stands still at its end, until
// it is told to quit. REQUIRES: main thread.
Result<RunningVm> boot_vm(QemuOptions options, bool control = false);
// On return the guest runs where the template was saved. The errors leave nothing running: the same descriptors may be used for
// boot_vm() then, since nothing was read from them.
Result<RunningVm> restore_vm(QemuOptions options, const TemplateFile& saved, bool control = false);

// 64 hex digits. Files are named by place, inode, size and times of change, so that nobody reads 30 MB to start a VM. `generic`:
// what options.initrd holds. Errors: the kernel or QEMU is not there.
Result<std::string> template_key(const QemuOptions& options, const Initramfs& generic);

struct TemplateRequest {
  QemuOptions options;  // without descriptors
  std::string key;
  std::string path;      // of the template, which must not exist
  uint64_t boot_ns = 0;  // limit of the boot
  int stop_fd = -1;      // readable: give up; -1: none
};
// Boots the VM, waits until its init says that it waits for its work, saves it, ends it. Errors say how far it came; kTimeout:
// stop_fd or the limit.
Status make_template(const TemplateRequest& request);

}  // namespace ktstr
