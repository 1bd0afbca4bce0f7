// A WorkerReport as a line: how a test's body (ktstr/test.h) hands ktstr-init what its workers did, on KTSTR_CHECK_FD
// between the JSON lines of its checks: "worker ", then a finished FlatBuffer WorkerReport in hex. As text it needs no
// framing but the line's end, so a damaged report costs itself only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schemas/workload_generated.h"

namespace ktstr {

// No line is longer; check_reader reads no longer ones. Holds a report that names each of 1024 CPUs twice.
inline constexpr size_t kMaxReportLine = 16 * 1024;

// Without the line's end. Names that are longer than parse_report_line() takes are cut.
std::string report_line(WorkerReportT report);
bool is_report_line(std::string_view line);
// Of a body, which is not trusted: a report that the verifier passed and whose values a reader can bear. Empty: the line
// holds none.
std::optional<WorkerReportT> parse_report_line(std::string_view line);

}  // namespace ktstr
