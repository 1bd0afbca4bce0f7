// Notes on the clients of the bus: whose events the hub rejected, which producers had to wait. One note for each client.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "schemas/client_generated.h"
#include "schemas/envelope.h"

namespace ktstr {

struct ClientRefused;

class ClientNotes {
 public:
  void refused(const ClientRefused& refusal);
  void held(std::string_view source, const ProducerHeld& held);
  // For the report; in the order of names.
  std::vector<std::string> lines() const;

 private:
  struct Refusals {
    uint64_t count = 0;
    std::string reason;  // the latest
  };
  std::map<std::string, Refusals> refused_;  // by name and word
  std::map<std::string, uint64_t> held_ns_;  // by source
};

}  // namespace ktstr
