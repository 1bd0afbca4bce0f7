// Test specs: TOML in, checked and resolved TestSpecT (schemas/spec.fbs) out. docs/specs.md lists every attribute.
//
// All that can be known without a VM is checked here, before anything boots: syntax, names, types, ranges, topology,
// cpusets, pins, and that each scheduler's binary is there. All errors of a file are reported together, one line each:
//
//   crash.toml:12: unknown attribute "worker"; did you mean "workers"?
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"
#include "schemas/binary_finder.h"
#include "schemas/spec_generated.h"

namespace ktstr {

// Bounds of what a spec may ask for.
inline constexpr size_t kMaxSpecBytes = 1u << 20;
inline constexpr unsigned kMaxVcpus = 64;

struct SpecOptions {
  // Finds schedulers' binaries. Null: they are not looked for and host_path stays empty (`list`, editors).
  const BinaryFinder* binaries = nullptr;
};

// Reads and checks one spec file. The tests are in the file's order; `file` of each is `path` as given.
// Errors: kNotFound, kSystem (the file cannot be read), kInvalid: the message holds one line per error found.
Result<std::vector<TestSpecT>> load_spec(const std::string& path, const SpecOptions& options);

// The same from text; `path` is only used in messages and to look beside the spec for binaries.
Result<std::vector<TestSpecT>> parse_spec(std::string_view text, const std::string& path,
                                          const SpecOptions& options);

}  // namespace ktstr
