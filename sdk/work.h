// A standard work type by its name, with the parameters and defaults that a spec gives it
// (workload/work_types.h).
#pragma once

#include <string>

#include "ktstr/result.h"
#include "ktstr/test.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr {

// Errors: no such work type, or one that only a spec can describe; a wrong number of workers; an unknown
// policy.
Result<CgroupSpecT> work_group(const std::string& work, unsigned workers, const WorkOptions& options);

// What a body is handed of a worker's report, and back again for the judge.
WorkerResult result_of(const WorkerReportT& report);
WorkerReportT report_of(const WorkerResult& worker);

}  // namespace ktstr
