// The FlatBuffers verifier accepts a vector of a million references to one string. Unpacking copies that string a million
// times. These functions measure the copy before anyone makes it.
#pragma once

#include "schemas/envelope.h"

namespace ktstr {

// True when a copy of every string, vector and table, once for each reference to it, takes no more bytes than the
// buffer has: always so for what a FlatBufferBuilder wrote without sharing. Such an event is safe to UnPack().
// Takes time linear in the buffer's size, whatever the buffer says.
bool unpacks_within_its_size(const EventBuffer& event);

}  // namespace ktstr
