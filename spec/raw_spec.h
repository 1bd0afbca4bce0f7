// A spec file as written: read and typed, each value with its line, nothing merged or resolved yet.
// spec_toml.cc makes it, spec.cc resolves it; no other file uses it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spec/spec_attributes.h"
#include "spec/spec_errors.h"

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

// One table of a list such as [[test.cgroup]].
struct RawTable {
  RawLayer values;
  unsigned line = 0;  // of its header
};

struct RawStep {
  RawTable head;
  std::vector<RawTable> ops;
};

// One row of [test.matrix]: an attribute and its values.
struct RawAxis {
  std::string name;
  std::vector<SpecValue> values;
  unsigned line = 0;
};

struct RawTest {
  unsigned line = 0;
  std::optional<Located<std::string>> name;
  std::optional<Located<std::string>> scheduler;
  RawLayer attributes;
  std::vector<RawTable> cgroups;
  std::vector<RawTable> payloads;
  std::vector<RawStep> steps;
  std::vector<RawTable> map_writes;
  std::vector<RawAxis> matrix;
  std::string cell;  // set by expand_matrix(): "cores=4,kernel=7.2"
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
