// TestSpecT back to TOML: a spec file that the reader (spec/spec.h) turns into the same test again.
#pragma once

#include <functional>
#include <string>

#include "schemas/spec_generated.h"

namespace ktstr {

struct SpecTextOptions {
  // How a program or file is written: what the author wrote, and where it was found (empty: it was not looked for). Null: as the
  // author wrote it.
  std::function<std::string(const std::string& as_written, const std::string& host_path)> place = nullptr;
  bool build = true;  // the scheduler's `build` command is written
};

// One scheduler block if the test has one, and one [[test]]. Only what differs from the defaults is written. The cell of a
// matrix is gone: the test has its base name, and the cell's values. REQUIRES: the test has no C++ body.
std::string spec_text(const TestSpecT& test, const SpecTextOptions& options = {});

}  // namespace ktstr
