// What the FlatBuffers verifier leaves open, and EventBuffer::from_bytes() therefore asks of every buffer from outside.
//
// The verifier proves that each reference stays inside the buffer. It accepts two parts that lie over each other, and a vector
// of a million references to one string. So a write of the stamp could change a reference after it was verified, and
// unpacking could copy one string a million times.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "schemas/event_generated.h"

namespace ktstr {

// REQUIRES: the verifier has passed `buffer`, and `event` is its root. Errors (kInvalid):
//   - a vtable, table field, vector or string that a reader could follow shares a byte with the stamp. Else the buffer
//     verifies with whatever stamp: it may be stamped in place.
//   - a copy of every string, vector and table, once for each reference to it, takes more bytes than the buffer has. What a
//     FlatBufferBuilder wrote without sharing strings never does. Else the event is safe to UnPack() and to print.
// Takes time linear in the buffer's size, whatever the buffer says.
Status check_layout(const Event& event, std::span<const uint8_t> buffer);

}  // namespace ktstr
