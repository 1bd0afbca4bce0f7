#include "launcher/run/guest_dump.h"

#include <utility>

namespace ktstr {

GuestDump::End GuestDump::begin(QmpClient& qmp, const std::string& path, uint64_t ram_bytes,
                                const std::string& reason) {
  tried_ = true;
  reason_ = reason;
  auto dump = MemoryDump::begin(qmp, path, ram_bytes);
  if (!dump) return give_up(dump.error().to_string());
  dump_.emplace(std::move(*dump));
  return std::nullopt;
}

GuestDump::End GuestDump::step(QmpClient& qmp) {
  Result<bool> complete = dump_->step(qmp);
  if (!complete) return give_up(complete.error().to_string());
  if (!*complete) return std::nullopt;
  GuestMemoryDumpedT told;
  told.path = dump_->path();
  told.bytes = dump_->bytes();
  told.disk_bytes = dump_->disk_bytes();
  return ended(std::move(told));
}

GuestMemoryDumpedT GuestDump::give_up(const std::string& why) {
  if (dump_) dump_->discard();
  GuestMemoryDumpedT told;
  told.error = why;
  return ended(std::move(told));
}

GuestMemoryDumpedT GuestDump::ended(GuestMemoryDumpedT told) {
  dump_.reset();
  told.reason = reason_;
  return told;
}

std::string dump_words(const GuestMemoryDumpedT& told) {
  if (!told.error.empty()) return "no memory dump: " + told.error;
  return "the guest's memory: " + told.path + " (" + std::to_string(told.bytes >> 20) + " MiB, " +
         std::to_string(told.disk_bytes >> 20) + " MiB on the disk)";
}

}  // namespace ktstr
