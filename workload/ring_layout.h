// Who hands over to whom in a group of PipeIo or FutexPingPong workers: pairs; an odd group ends with a ring
// of three; a single worker is its own peer.
#pragma once

#include <cstddef>

namespace ktstr::guest {

struct RingPlace {
  size_t next;     // index that gets the token from this one
  bool has_token;  // starts with it
};

inline RingPlace ring_place(size_t index, size_t count) {
  if (count <= 1) return {index, true};
  const bool in_last = count % 2 == 1 && index >= count - 3;
  const size_t first = in_last ? count - 3 : index - index % 2;
  const size_t size = in_last ? 3 : 2;
  return {first + (index - first + 1) % size, index == first};
}

}  // namespace ktstr::guest
