// The parts of a test, from raw tables to TestSpecT; spec.cc calls them in order. Mistakes go to
// `errors`.
#pragma once

#include <string>
#include <vector>

#include "schemas/spec_generated.h"
#include "spec/raw_spec.h"
#include "spec/spec.h"

namespace ktstr {

// Safe as the name of a file or folder, on a command line and in a filter expression.
bool good_name(std::string_view name, std::string_view extra = "");
inline constexpr std::string_view kGoodNameHint =
    "use letters, digits, '_' and '-', not '-' first, 100 at most";

struct ResolveContext {
  SpecErrors& errors;
  const SpecOptions& options;
  const std::string& path;  // of the spec
  unsigned per_group = 1;   // workers_per_cgroup
};

// A scalar as the author wrote it, without quotes.
std::string scalar_text(const SpecValue& value);
const Located<SpecValue>* find_value(const RawLayer& layer, std::string_view name);

// "llc:0" to "0-3" by the test's topology; "" and an error when it cannot be. `what`: the attribute, for the
// message.
std::string resolve_cpus(const Located<SpecValue>& rule, const TestSpecT& spec, std::string_view what,
                         SpecErrors& errors);

// What the layers say together: lists appended, tables merged, of all else the latest.
using MergedLayer = RawLayer;
// What a test needs to start: the scheduler's command line, configuration and environment, files, kernel settings.
// `scheduler_args`: of its block.
void resolve_start(const RawTest& raw, const MergedLayer& merged,
                   const std::vector<std::string>& scheduler_args, const ResolveContext& context,
                   TestSpecT& spec);

// REQUIRES of all: spec.topology and duration_ns are set; called in this order.
void resolve_payloads(const RawTest& raw, const ResolveContext& context, TestSpecT& spec);
void resolve_cgroups(const RawTest& raw, const ResolveContext& context, TestSpecT& spec);
void resolve_steps(const RawTest& raw, const ResolveContext& context, TestSpecT& spec);
// What a worker does: everything of a cgroup but its name and cpuset.
void resolve_work(const RawTable& raw, const ResolveContext& context, const TestSpecT& spec,
                  CgroupSpecT& group);

// One test for each cell of its matrix (the test itself when it has none).
std::vector<RawTest> expand_matrix(const RawTest& raw, SpecErrors& errors);

}  // namespace ktstr
