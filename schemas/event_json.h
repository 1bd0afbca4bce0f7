// An event as JSON, for people's tools: every field by its schema name, enums by theirs.
//
//   {"seq":7,"vm":"Primary","attempt":0,"host_ns":…,"guest_ns":…,"source":"collector","type":"ConsoleLine",
//    "payload":{"text":"…","truncated":false}}
//
// Fields that were not written are left out, except scalars of the stamp. Byte vectors over 64 bytes are given by their
// length ("<8192 bytes>"): they are BTF, not for reading. Bytes that are not UTF-8 are replaced.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "schemas/envelope.h"

namespace ktstr {

nlohmann::ordered_json event_json(const EventBuffer& event);
// On one line.
std::string event_json_line(const EventBuffer& event);

}  // namespace ktstr
