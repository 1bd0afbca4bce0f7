// A spec file as written: read and typed, each value with its line, nothing merged or resolved yet.
// test_spec_toml.cc makes it, test_spec.cc resolves it; nobody else needs it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/spec_attributes.h"
#include "schemas/spec_errors.h"

namespace ktstr {

template <typename T>
struct Located {
  T value{};
  unsigned line = 0;
};

// Attribute name -> value.
using RawLayer = std::map<std::string, Located<SpecValue>, std::less<>>;

struct RawScheduler {
  unsigned line = 0;
  std::optional<Located<std::string>> binary;
  std::vector<std::string> args;
  RawLayer attributes;
};

// One table of a list such as [[test.bpf_map_write]].
struct RawTable {
  RawLayer values;
  unsigned line = 0;  // of its header
};

struct RawTest {
  unsigned line = 0;
  std::optional<Located<std::string>> name;
  std::optional<Located<std::string>> scheduler;
  RawLayer attributes;
  std::vector<RawLayer> cgroups;
  std::vector<unsigned> cgroup_lines;  // of each cgroup's header
  std::vector<RawTable> map_writes;
};

struct RawSpec {
  std::optional<Located<std::string>> default_scheduler;
  RawLayer defaults;
  std::map<std::string, RawScheduler, std::less<>> schedulers;
  std::vector<RawTest> tests;
};

// Reads what it can and adds an error for all else; never throws. A text that is no TOML gives one error.
RawSpec read_toml(std::string_view text, const std::string& path, SpecErrors& errors);

}  // namespace ktstr
