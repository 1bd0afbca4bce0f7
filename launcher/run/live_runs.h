// Live runs of this user, found by their bus folders: each holds run.json while its launcher lives.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "launcher/run/folders.h"

namespace ktstr {

struct LiveRun {
  std::string run_id;      // "20261121-210145-3f2a/enqueue_crash"
  std::string bus_folder;  // sockets: ingest.sock, events.sock
  std::string log;         // events.ktlog
  int pid = 0;             // ktstr-launch
  uint64_t start_ns = 0;   // CLOCK_MONOTONIC at the run's start: the zero of Stamp.host_ns
  bool replay = false;     // a recorded run on a live bus
  std::string listen;      // "tcp://…", for remote clients
};

// Writes run.json into run.bus_folder.
Status announce_run(const LiveRun& run);
// Runs whose launcher holds its folder's lock, oldest first. Half-written or foreign folders are left out.
std::vector<LiveRun> find_live_runs(const FolderOptions& options);
// The run that `name` means: a run id, an unambiguous part of one, or "latest".
Result<LiveRun> find_live_run(const FolderOptions& options, const std::string& name);

}  // namespace ktstr
