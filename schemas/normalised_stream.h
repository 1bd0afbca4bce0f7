// What a deterministic run says, without what the host adds: the same text for the same seed, on any host (docs/determinism.md).
//
// Sources are apart, because how two processes' events interleave in a log is decided by the host; within a source the order
// is the log's. One event is one line of JSON (schemas/event_json.h).
//
// Left out, and nothing else: of the stamp `seq` and `host_ns`; the run's id; all events of ktstr-launch, ktstr-reporter and of
// clients (is_in_stream()). Byte vectors over 64 bytes count by their length.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/sha256.h"
#include "schemas/envelope.h"

namespace ktstr {

bool is_in_stream(const EventBuffer& event);
// "Primary guest", "Repro.1 collector.ConsoleLine": the collector reads two carriers, so its types are apart.
std::string stream_source(const EventBuffer& event);
// Without its line feed.
std::string stream_line(const EventBuffer& event);

class NormalisedStream {
 public:
  void add(const EventBuffer& event);
  uint64_t events() const { return events_; }
  // SHA-256 over "SOURCE HASH\n" of every source, by name; HASH is that of the source's lines. Once.
  std::string hex();

 private:
  std::map<std::string, Sha256> sources_;
  uint64_t events_ = 0;
};

}  // namespace ktstr
