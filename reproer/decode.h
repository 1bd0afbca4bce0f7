// Bytes that a probe read -> text for people, by the plan's formats. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "schemas/probe_generated.h"

namespace ktstr {

// "500", "-22", "SCX_ENQ_WAKEUP|0x8", "\"pipe_7\"", "0-3", "local DSQ", "0xff11…". `data` may be shorter
// than the format wants: what is there is used. Control characters are taken out.
std::string decode_value(const ValueSpecT& spec, std::span<const uint8_t> data);

}  // namespace ktstr
