// What a deterministic VM writes on, and the gate at which it stands still for the monitor.
//
// QEMU's devices tell the guest when the other side of a socket reads slowly (a UART's transmitter stays busy), so a loaded host
// would change the guest's course. Here console and event channel are UARTs on plain files, which always take what is
// written; pump() passes the bytes on to the collector's sockets.
//
// The gate: an isa-debugcon port whose chardev writes a byte into the FIFO `bell` and then logs the same byte into the FIFO
// `gate`, both within the guest's one OUT instruction. The gate is a packet pipe of one slot, and the slot is full: the thread
// that runs all vCPUs waits in write(2) until somebody takes a packet out. So the monitor reads a guest that stands still at
// one instruction, and guest time does not pass meanwhile. A second port carries the guest's clock into the bell.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace ktstr {

// Beside ktstr-launch; QEMU preloads it (preload/main_loop_order.cc).
inline constexpr const char* kOrderLibrary = "ktstr-qemu-order.so";
// Why a deterministic run has the accelerator that it has, and what is not proved of this QEMU (major, minor): the library knows QEMU's
// threads by the names that they have in 7.2, and waits for nothing where they have others.
std::string why_deterministic(std::pair<int, int> qemu);

class DeterministicCarriers {
 public:
  // Makes the files in `folder`. `name`: of the VM, "primary"; `attempt` as in Stamp.
  static Result<std::unique_ptr<DeterministicCarriers>> create(const std::string& folder,
                                                               const std::string& name, uint8_t attempt);
  ~DeterministicCarriers();

  // For QEMU's command line.
  const std::string& console_file() const { return pipes_[0].file; }
  const std::string& channel_file() const { return pipes_[1].file; }
  const std::string& turns_file() const { return turns_file_; }
  std::string bell_path() const { return gate_path_ + ".bell"; }
  int gate_fd() const { return gate_out_.get(); }  // QEMU inherits it
  // VmStarted.gate_path.
  const std::string& gate_path() const { return gate_path_; }

  // Connects to the sockets on which the collector listens. Before QEMU starts.
  Status connect(const std::string& console_socket, const std::string& channel_socket);
  // Passes on what the guest wrote. Never blocks; to be called again and again.
  void pump();
  // QEMU is gone: pump() closes each socket behind the last byte.
  void qemu_ended() { ended_ = true; }
  // Nobody will open the gate any more: the guest finds it open from now on.
  void abandon_gate();

 private:
  struct Pipe {
    std::string file;
    UniqueFd in, out;
    uint64_t passed = 0;  // bytes
  };
  DeterministicCarriers() = default;
  void pump(Pipe& pipe);

  std::string gate_path_, turns_file_;
  Pipe pipes_[2];
  UniqueFd bell_keeper_, gate_keeper_, gate_out_;
  bool qemu_opened_ = false;  // its end of the gate
  bool ended_ = false;
};

}  // namespace ktstr
