// Test specs: TOML in, checked and resolved TestSpecT (schemas/spec.fbs) out. docs/specs.md lists every
// attribute.
//
// All that can be known without a VM is checked here, before anything boots: syntax, names, types, ranges,
// topology, cpusets, pins, and that each scheduler's binary is there. All errors of a file are reported
// together, one line each:
//
//   crash.toml:12: unknown attribute "worker"; did you mean "workers"?
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schemas/spec_generated.h"
#include "spec/binary_finder.h"
#include "spec/topologies.h"

namespace ktstr {

// Bounds of what a spec may ask for.
inline constexpr size_t kMaxSpecBytes = 1u << 20;
inline constexpr unsigned kMaxVcpus = 255;

struct SpecOptions {
  // Finds schedulers' binaries. Null: they are not looked for and host_path stays empty (`list`, editors).
  const BinaryFinder* binaries = nullptr;
  // The environment, for KTSTR_SCHEDULER_NAME. Null: it is not looked at.
  std::function<std::string(const std::string& variable)> environment = nullptr;
  // Not empty: each test is made once for each of these, as one more axis of its matrix: NAME[topology=1n2l4c1t]. They count
  // over the spec's own numa_nodes, llcs, cores and threads.
  std::vector<NamedTopology> topologies;
  // The file's own tests are left out; instead each of its schedulers gets one: a spinner pinned to each CPU. `topologies` is not empty
  // then. 0: no sweep.
  double sweep_s = 0;
};

// Which of the three layers a value came from; a later one wins.
enum class Layer { kBuiltIn, kDefault, kScheduler, kTest };

// One resolved attribute, for `show`.
struct Setting {
  std::string name;
  std::string value;  // as TOML; empty when the attribute is not set at all
  Layer layer = Layer::kBuiltIn;
  unsigned line = 0;  // in the spec file; 0 for kBuiltIn
};

// Upper case, other characters than letters and digits as '_': "KTSTR_SCHEDULER_MY_SCX".
std::string scheduler_variable(std::string_view scheduler);

struct LoadedTest {
  TestSpecT spec;
  std::vector<Setting> settings;  // in the order of test_attributes()
  std::string skip;               // set: why it cannot run on its topology
};

// Reads and checks one spec file. The tests are in the file's order; `file` of each is `path` as given.
// Errors: kNotFound, kSystem (the file cannot be read), kInvalid: the message holds one line per error found.
Result<std::vector<TestSpecT>> load_spec(const std::string& path, const SpecOptions& options);
Result<std::vector<LoadedTest>> load_tests(const std::string& path, const SpecOptions& options);

// The same from text; `path` is only used in messages and to look beside the spec for binaries.
Result<std::vector<LoadedTest>> parse_tests(std::string_view text, const std::string& path,
                                            const SpecOptions& options);

// "PATH:12 [[test]]", "PATH:3 [default]", "built in": where a setting came from.
std::string origin_text(const Setting& setting, const TestSpecT& test);

}  // namespace ktstr
