// A worker that a test's body ran itself (ktstr/test.h): a line {"worker": {…}} on KTSTR_CHECK_FD becomes a WorkerReport, so that it
// stands in the report's stats and under the test's checks as any other worker does.
#pragma once

#include <optional>
#include <string_view>

#include "schemas/event_generated.h"

namespace ktstr::guest {

// Empty: the line is no worker's.
std::optional<WorkerReportT> parse_body_worker(std::string_view line);

}  // namespace ktstr::guest
