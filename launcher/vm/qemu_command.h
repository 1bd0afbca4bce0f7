// The whole QEMU command line of a test VM, built from facts only: no file is read, nothing is started.
//
// Machine: q35, no defaults, no user config, no display, no reboot (a panic ends QEMU). Console: first UART.
// Event channel: virtserialport `kChannelPortName`. Control: QMP.
// Console and channel are connected sockets that QEMU inherits: the other end is the collector's, or that of who makes a
// template. On the QMP socket QEMU listens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {

// A machine whose course is a function of its inputs: guest time follows the executed instructions, and nothing of the host
// reaches the guest (launcher/deterministic/carriers.h says why its carriers are files).
struct DeterministicMachine {
  uint64_t seed = 0;                       // of QEMU's random numbers, which are the guest's entropy
  unsigned icount_shift = 1;               // an instruction lasts 2^icount_shift ns
  std::string console_file, channel_file;  // regular files
  std::string bell_path;                   // FIFO that has a reader
  int gate_fd = -1;                        // packet pipe that QEMU inherits
  std::string turns_file;                  // regular file; empty: no port for extra turns of the vCPUs
  std::string order_library;               // preloaded (launcher/deterministic/preload); empty: none
};

// QEMU's gdb stub.
struct GdbStub {
  std::string socket;  // QEMU listens there; no comma, 107 bytes at most
  int listener = -1;   // as QemuOptions.qmp_listener
  bool waits = false;  // the guest stands still from its first instruction on until gdb lets it run
};

struct QemuOptions {
  std::string qemu = "qemu-system-x86_64";
  std::string accelerator = "tcg";  // "tcg" (always thread=single) or "kvm"
  TopologyT topology;
  uint32_t memory_mb = 1024;
  int ram_fd = -1;  // memfd of memory_mb MiB that QEMU inherits; -1: QEMU's own memory
  std::string kernel;
  std::string initrd;            // empty: none
  int console_fd = -1;           // connected socket; -1: console on stdio
  int channel_fd = -1;           // connected socket; -1: no channel device
  std::string qmp_socket;        // QEMU listens; empty: no QMP
  int qmp_listener = -1;         // bound to qmp_socket already, QEMU inherits it; -1: QEMU binds it itself
  int control_fd = -1;           // connected socket with a QMP of the launcher's own; -1: none
  bool incoming = false;         // waits for a saved state (migrate-incoming) instead of booting
  bool verbose_console = false;  // kernel messages of every level instead of `quiet`
  bool kaslr = true;
  uint32_t tsc_khz = 0;  // of the host (host_tsc.h): an emulated guest does not measure it; 0: it does
  std::vector<std::string> kernel_args;  // appended to the kernel command line
  std::vector<std::string> qemu_args;    // appended to QEMU's, verbatim
  std::string name = "ktstr";            // -name; shown by ps
  int qemu_major = 7, qemu_minor = 2;    // from qemu_version(); matters with several NUMA nodes
  std::optional<DeterministicMachine>
      deterministic;  // with accelerator "tcg", without console and channel sockets
  std::optional<GdbStub> gdb;
  bool host_amd = false;  // KVM only: AMD host; see host_cpu_is_amd()
};

// kInvalid: bad topology, a missing kernel, an unknown accelerator, a socket path too long for AF_UNIX (107
// bytes) or holding a comma.
Result<std::vector<std::string>> build_qemu_command(const QemuOptions& options);

// The kernel command line in it.
std::string build_kernel_cmdline(const QemuOptions& options);

// argv as a shell takes it.
std::string shell_quote(const std::vector<std::string>& argv);

// The same VM for a person to paste: console on the terminal, private memory, no sockets.
Result<std::string> paste_command(const QemuOptions& options);

// The descriptors that QEMU inherits.
std::vector<int> inherited_fds(const QemuOptions& options);

// What is added to its environment, "NAME=value".
std::vector<std::string> qemu_environment(const QemuOptions& options);

// Facts of VmStarted that follow from the options: accelerator, cmdline, vcpus, memory_mb, ram_bytes,
// lowmem_bytes, qmp_path. The caller adds pid and ram_path.
VmStartedT vm_started_facts(const QemuOptions& options, const std::vector<std::string>& argv);

}  // namespace ktstr
