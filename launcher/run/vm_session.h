// One VM of a test, from its files to the end of QEMU.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "launcher/deterministic/carriers.h"
#include "launcher/run/embedded_files.h"
#include "launcher/run/vm_templates.h"
#include "launcher/vm/vm_start.h"
#include "schemas/plan_generated.h"
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
  std::string bus_folder;      // sockets, the initramfs, the handover
  std::string qemu;
  std::string qemu_version;  // as HostInfo.qemu
  std::string accelerator;
  uint32_t tsc_khz = 0;  // as QemuOptions
  std::string kernel;
  std::string kernel_release;
  const Clock* clock = nullptr;
  double time_scale = 1;
  bool verbose_console = false;
  VmTemplates* templates = nullptr;           // null: it boots
  uint64_t boot_ns = 0;                       // limit of a boot that makes a template
  bool own_view = false;                      // the guest states what it sees itself (GuestView)
  const DeterminismT* determinism = nullptr;  // null: a plain VM
  std::vector<std::string> qemu_args;         // --qemu-arg
  std::optional<GdbStub> gdb;                 // of a VM that waits: it boots. Without a socket: in bus_folder
  bool control = false;                       // VmSession::control(); its QEMU waits at the guest's end

  // A shell instead of a test (launcher/shell).
  const ShellPlanT* shell = nullptr;
  bool start_scheduler = true;  // else its program is in the VM, and nobody starts it
  std::vector<std::pair<std::string, std::string>> programs;  // also in the VM: guest path, host path
  int console_fd = -1, channel_fd = -1;  // connected sockets; -1: the collector's are connected to
};

class VmSession {
 public:
  // Writes the handover, restores the VM from a template, or boots it. REQUIRES: the collector listens; main thread.
  static Result<std::unique_ptr<VmSession>> start(const VmRequest& request);

  // began_ns is of CLOCK_MONOTONIC.
  const VmStartedT& facts() const { return facts_; }
  QemuProcess& qemu() { return *vm_.qemu; }
  // Null: none was asked for.
  QmpClient* control() { return vm_.control ? &*vm_.control : nullptr; }
  // Of a deterministic VM, else null.
  DeterministicCarriers* carriers() { return carriers_.get(); }

 private:
  static Result<std::unique_ptr<VmSession>> start_deterministic(const VmRequest& request);
  explicit VmSession(RunningVm vm) : vm_(std::move(vm)) {}

  std::unique_ptr<DeterministicCarriers> carriers_;
  RunningVm vm_;  // its RAM is held until the monitor is through with it
  VmStartedT facts_;
};

}  // namespace ktstr
