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

// The tests of a spec file or of a test binary (ktstr/test.h): the same checks, the same errors. An ELF file is asked
// for its list (`BINARY --ktstr-list`, a TOML spec), which is read as a spec file is; errors name the C++ file and line
// instead of the list's. Each of its tests has the binary as its body: a payload named kBodyPayload.
Result<std::vector<LoadedTest>> load_tests_of(const std::string& path, const SpecOptions& options);

inline constexpr char kBodyPayload[] = "body";

// The tests of all of them. Errors of several files are one error, a line each.
Result<std::vector<LoadedTest>> load_all_tests(const std::vector<std::string>& named,
                                               const SpecOptions& options);

}  // namespace ktstr
