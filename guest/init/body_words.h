// What a test's body (ktstr/test.h) says on KTSTR_CHECK_FD beside its checks:
//   {"worker": {…}}   a worker that it ran itself: a WorkerReport, so that it stands in the report's stats
//   and under the test's checks
//   {"phase": "…"}    a step of its own begins: a phase of the timeline
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schemas/guest_generated.h"

namespace ktstr::guest {

// Empty: the line is no worker's.
std::optional<WorkerReportT> parse_body_worker(std::string_view line);
// Empty: the line begins no phase.
std::optional<std::string> parse_body_phase(std::string_view line);

}  // namespace ktstr::guest
