// Which tests run on which kernels: `--kernel A --kernel B` and `kernel =` of a spec, then -E.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "schemas/run_generated.h"
#include "spec/filter.h"
#include "spec/spec.h"

namespace ktstr {

struct PlannedTest {
  LoadedTest test;
  size_t kernel = 0;  // index of TestPlan.kernels
  std::string skip;   // set: why it is not run on this host
};

struct TestPlan {
  std::vector<PlannedTest> tests;
  std::vector<KernelInfoT> kernels;  // each resolved once
};

struct PlanRequest {
  std::vector<LoadedTest> tests;
  std::vector<std::string> kernels;  // --kernel, in order; empty: the default
  const Filter* filter = nullptr;
  uint64_t host_memory_mb = 0;  // 0: not looked at
  // "": the default (KTSTR_KERNEL, the newest cached).
  std::function<Result<KernelInfoT>(const std::string& wish)> resolve;
};

// A test of its own kernel runs on that one only. With several --kernel each other test runs on each of them,
// as one more axis of its matrix: NAME[kernel=7.3]. A kernel that is not there is an error when a selected
// test wants it.
Result<TestPlan> plan_tests(PlanRequest request);

// The first step alone, for `list`: names as a run would have them. REQUIRES: nothing.
std::vector<LoadedTest> expand_kernels(std::vector<LoadedTest> tests,
                                       const std::vector<std::string>& kernels);

}  // namespace ktstr
