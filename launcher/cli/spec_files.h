// What a user names on the command line, as tests: spec files, folders of them, test binaries.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "spec/spec.h"

namespace ktstr {

// A folder means the specs below it: every *.toml with a [[test]] or a [scheduler.NAME] in it, sorted by
// path; hidden folders are passed over. Anything else stays as it is. kNotFound: a folder without a spec.
Result<std::vector<std::string>> spec_files(const std::vector<std::string>& named);

// The tests of all of them. Errors of several files are one error, a line each.
Result<std::vector<LoadedTest>> load_all_tests(const std::vector<std::string>& named,
                                               const SpecOptions& options);

}  // namespace ktstr
