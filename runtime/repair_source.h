// Where a subscriber gets the events that did not reach it over PUB: the run's log, or the hub's repair socket.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "schemas/envelope.h"

namespace zmq {
class context_t;
}

namespace ktstr {

struct BusAddress;

class RepairSource {
 public:
  virtual ~RepairSource() = default;
  // Event `seq`; REQUIRES: it was announced to be in the log, up to `newest`. Asked in ascending order. Errors: damaged, gone, no answer.
  virtual Result<EventBuffer> get(uint64_t seq, uint64_t newest) = 0;

  static Result<std::unique_ptr<RepairSource>> from_log(const std::string& log_path);
  static Result<std::unique_ptr<RepairSource>> from_hub(zmq::context_t& context, const BusAddress& address);
};

// The wire of the repair socket: request "first, last" (u64 each), reply up to so many events.
inline constexpr size_t kRepairMaxEvents = 1024;
inline constexpr size_t kRepairMaxBytes = 1u << 20;

}  // namespace ktstr
