#include "monitor/watchdog_setter.h"

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "monitor/bpf_maps.h"
#include "monitor/walkers.h"
#include "schemas/monitor_generated.h"
#include "scx/constants.h"

namespace ktstr {
namespace {

constexpr uint64_t kDefaultTimeoutNs =
    30'000 * kMs;  // SCX_WATCHDOG_MAX_TIMEOUT: of a scheduler that names none

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

// In every struct_ops value of a scheduler that is filled in and not yet attached.
void WatchdogSetter::write_waiting() {
  const KernelLayout& l = kernel_.layout();
  const WatchdogLayout& w = l.watchdog;
  if (!w.timeout_ms || !w.state || !l.map.ops_value) return;
  const GuestMemory& memory = kernel_.memory();
  walk_all_maps(kernel_, [&](uint64_t address) {
    const auto type = l.program.map_type.read(memory, address);
    if (!type || *type != static_cast<uint64_t>(MapKind::kStructOps)) return true;
    const auto value_type = l.map.kernel_value_type.read(memory, address);
    if (!value_type ||
        std::find(w.value_types.begin(), w.value_types.end(), *value_type) == w.value_types.end())
      return true;
    const uint64_t value = address + l.map.ops_value.offset;
    const auto state = w.state.read(memory, value);
    if (!state || (*state != w.state_ready && *state != w.state_in_use)) return true;
    const auto timeout_ms = w.timeout_ms.read(memory, value);
    const auto wanted = static_cast<uint32_t>(timeout_ns_ / kMs);
    if (!timeout_ms || *timeout_ms == wanted) return true;
    if (!write_guest(kernel_.memory(), writer_, value + w.timeout_ms.offset, bytes_of(wanted))) return true;
    before_ns_ = *timeout_ms ? *timeout_ms * kMs : kDefaultTimeoutNs;
    return true;
  });
}

// As the kernel makes them of milliseconds: rounded up. By HZ, since a tick need not be whole nanoseconds.
uint64_t WatchdogSetter::wanted_jiffies() const {
  const uint64_t tick = kernel_.tick_ns();
  const uint64_t hz = (1'000 * kMs + tick / 2) / tick;
  return (timeout_ns_ / kMs * hz + 999) / 1'000;
}

Status WatchdogSetter::write_in_force() {
  const uint64_t jiffies = wanted_jiffies();
  uint64_t at = kernel_.places().watchdog_timeout;
  if (const Field& field = kernel_.layout().watchdog.of_scheduler) {
    const auto root = read_scx_root(kernel_);
    at = root ? root->address + field.offset : 0;
  }
  if (!at) return Error::invalid("sched_ext's watchdog timeout was not found");
  return write_guest(kernel_.memory(), writer_, at, bytes_of(jiffies));
}

std::optional<WatchdogSetT> WatchdogSetter::look() {
  if (done_) return std::nullopt;
  kernel_.refresh();
  const auto state = kernel_.layout().scx.states.find(read_scx_state(kernel_));
  const bool enabled = state != kernel_.layout().scx.states.end() && state->second == kScxStateEnabled;
  if (!enabled) {
    write_waiting();
    return std::nullopt;
  }
  done_ = true;
  WatchdogSetT said;
  const auto now = read_watchdog_timeout(kernel_);
  said.after_ns = now.value_or(0);
  said.before_ns = before_ns_ ? before_ns_ : said.after_ns;
  if (!now || kernel_.tick_ns() == 0) {
    said.error = "this kernel does not say where sched_ext keeps its watchdog's timeout";
  } else if (*now / kernel_.tick_ns() == wanted_jiffies()) {
    // As wanted.
  } else if (*now / kernel_.tick_ns() > wanted_jiffies()) {
    said.error =
        "the scheduler was attached with " + human_ns(*now) + " before its timeout could be made shorter";
  } else if (auto status = write_in_force(); !status) {
    said.error = status.error().message();
  } else {
    said.after_ns = read_watchdog_timeout(kernel_).value_or(0);
  }
  return said;
}

}  // namespace ktstr
