// One VM of a test, from initramfs to the end of QEMU.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/run/embedded_files.h"
#include "launcher/vm/guest_ram.h"
#include "launcher/vm/qemu_process.h"
#include "schemas/probe_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {

struct TestSpecT;

struct VmRequest {
  Vm vm = Vm::Primary;
  uint8_t attempt = 0;
  const TestSpecT* spec = nullptr;
  const ProbePlanT* probe_plan = nullptr;  // null: primary
  const std::vector<ExtractedFile>* files =
      nullptr;  // programs and libraries from a log; null or empty: from this host
  std::string run_id;
  std::string program_folder;  // ktstr-init and ktstr-probe
  std::string bus_folder;      // sockets and the initramfs
  std::string qemu;
  std::string qemu_version;  // as HostInfo.qemu
  std::string accelerator;
  std::string kernel;
  std::string kernel_release;
  double time_scale = 1;
  bool verbose_console = false;
  bool own_view = false;  // the guest states what it sees itself (GuestView)
};

class VmSession {
 public:
  // Builds the initramfs, starts QEMU. REQUIRES: the collector listens; main thread.
  static Result<std::unique_ptr<VmSession>> boot(const VmRequest& request);

  const VmStartedT& facts() const { return facts_; }
  QemuProcess& qemu() { return *qemu_; }

 private:
  VmSession(GuestRam ram, std::unique_ptr<QemuProcess> qemu) : ram_(std::move(ram)), qemu_(std::move(qemu)) {}

  GuestRam ram_;  // held until the monitor is through with it
  std::unique_ptr<QemuProcess> qemu_;
  VmStartedT facts_;
};

}  // namespace ktstr
