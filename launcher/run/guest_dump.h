// The memory of a run's VM, kept as a file beside the log (--keep-dump): one try for each VM, its outcome as an event.
#pragma once

#include <optional>
#include <string>

#include "launcher/vm/memory_dump.h"
#include "schemas/run_generated.h"

namespace ktstr {

class GuestDump {
 public:
  // For the next VM.
  void reset() {
    dump_.reset();
    tried_ = false;
  }
  bool tried() const { return tried_; }
  bool running() const { return dump_.has_value(); }
  // step() has work of its own: call it again at once.
  bool busy() const { return dump_ && dump_->busy(); }

  // Each of them returns the event of its end, once. Nothing: it goes on.
  using End = std::optional<GuestMemoryDumpedT>;
  End begin(QmpClient& qmp, const std::string& path, uint64_t ram_bytes, const std::string& reason);
  // REQUIRES: running().
  End step(QmpClient& qmp);
  // What there is of the file is removed.
  GuestMemoryDumpedT give_up(const std::string& why);

 private:
  GuestMemoryDumpedT ended(GuestMemoryDumpedT told);

  std::optional<MemoryDump> dump_;
  std::string reason_;
  bool tried_ = false;
};

// "the guest's memory: memory.elf (512 MiB, 80 MiB on the disk)"
std::string dump_words(const GuestMemoryDumpedT& told);

}  // namespace ktstr
