// The first half of a recorded run, for `ktstr-launch repro`: what its primary VM was, and all that was seen of it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/run/embedded_files.h"
#include "schemas/envelope.h"
#include "schemas/run_generated.h"

namespace ktstr {

struct RecordedRun {
  RunStartedT started;
  // Facts of the primary VM and of extra collectors, up to its VmSettled; in order.
  std::vector<EventBuffer> events;
  uint64_t last_host_ns = 0;         // the newest stamp among them
  std::vector<ExtractedFile> files;  // empty: the log holds none
};

struct RecordedRunOptions {
  std::string log;
  std::string store;  // where embedded files go
};

// Errors: no log; no run in it; the primary VM had not settled when it ended; a spec that no VM can be made from; a
// scheduler or payload that is neither embedded nor, by its hash, still on this host.
Result<RecordedRun> read_recorded_run(const RecordedRunOptions& options);

// `event` as one of the run `run_id`; all else stays.
EventBuffer with_run_id(const EventBuffer& event, const std::string& run_id);

}  // namespace ktstr
