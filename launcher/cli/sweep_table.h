// What a sweep found, from the logs of its cells: scheduler × kernel × topology. Pure but for reading the logs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "schemas/envelope.h"

namespace ktstr {

enum class SweepStep : uint8_t { kUnknown, kPassed, kFailed };

struct SweepCell {
  std::string scheduler, kernel, topology;         // kernel: its release; topology: "1n2l4c1t"
  SweepStep start = SweepStep::kUnknown;           // its program started, and lived until it loaded something
  SweepStep verify = SweepStep::kUnknown;          // the kernel took all its programs
  SweepStep attach = SweepStep::kUnknown;          // sched_ext was enabled, and the workload started
  SweepStep dispatch = SweepStep::kUnknown;        // every spinner, one on each CPU, made progress to the end
  std::map<std::string, uint64_t> verified_insns;  // by struct_ops member, else by program
  std::string cause;                               // first line of what went wrong; empty: all passed
  std::string skipped;                             // why it did not run
  bool verdict = false;                            // the run came to one: pass or fail

  bool passed() const { return dispatch == SweepStep::kPassed; }
  // "ok", or the step that failed: "start", "verify", "attach", "dispatch"; "skipped"; "no verdict".
  std::string word() const;
};

// Adds one event of the cell's log.
void fold(const EventBuffer& event, SweepCell& cell);
Result<SweepCell> read_sweep_cell(const std::string& log);

// A table of verified instructions for each scheduler (programs × kernels, "n" or "lo..hi" over the topologies), a grid (schedulers on
// kernels × topologies), then each cell that did not pass with its cause.
std::string sweep_text(const std::vector<SweepCell>& cells);
std::string sweep_markdown(const std::vector<SweepCell>& cells);
// One object: {"cells": [{scheduler, kernel, topology, result, start, verify, attach, dispatch, verified_insns, cause}]}.
std::string sweep_json(const std::vector<SweepCell>& cells);

}  // namespace ktstr
