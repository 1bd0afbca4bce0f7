// A test that is not run on this host leaves a log as one that is run does: who reads the logs of a run finds all of its tests.
#pragma once

#include <string>

#include "base/result.h"
#include "launcher/run/run_session.h"

namespace ktstr {

// The log's path.
Result<std::string> record_skipped_test(const TestSpecT& spec, const std::string& reason,
                                        const RunEnvironment& environment);

}  // namespace ktstr
