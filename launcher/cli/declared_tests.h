// The tests of a spec file or of a test binary (ktstr/test.h): the same checks, the same errors.
#pragma once

#include <string>
#include <vector>

#include "spec/spec.h"

namespace ktstr {

// An ELF file is asked for its list (`BINARY --ktstr-list`, a TOML spec), which is read as a spec file is;
// errors name the C++ file and line instead of the list's. Each of its tests has the binary as its body: a
// payload named kBodyPayload. Anything else is a spec file.
Result<std::vector<LoadedTest>> load_tests_of(const std::string& path, const SpecOptions& options);

inline constexpr char kBodyPayload[] = "body";

}  // namespace ktstr
