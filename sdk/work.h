// A standard work type by its name, with the parameters and defaults that a spec gives it
// (workload/work_types.h).
#pragma once

#include <string>

#include "ktstr/result.h"
#include "ktstr/test.h"
#include "schemas/spec_generated.h"

namespace ktstr {

// Errors: no such work type, or one that only a spec can describe; a wrong number of workers; an unknown
// policy.
Result<CgroupSpecT> work_group(const std::string& work, unsigned workers, const WorkOptions& options);

}  // namespace ktstr
