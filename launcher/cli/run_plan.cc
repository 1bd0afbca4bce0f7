#include "launcher/cli/run_plan.h"

#include <algorithm>
#include <map>

#include "schemas/spec_generated.h"
#include "spec/kernel_range.h"

namespace ktstr {
namespace {

std::string name_part(const std::string& kernel) {
  std::string text = kernel;
  for (char& c : text) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '.' || c == '+';
    if (!good) c = '_';
  }
  return text;
}

LoadedTest on_kernel(const LoadedTest& test, const std::string& kernel) {
  LoadedTest out;
  out.spec = test.spec;
  out.settings = test.settings;
  TestSpecT& spec = out.spec;
  spec.kernel = kernel;
  spec.matrix += (spec.matrix.empty() ? "" : ",") + std::string("kernel=") + name_part(kernel);
  if (spec.base_name.empty()) spec.base_name = spec.name;
  spec.name = spec.base_name + "[" + spec.matrix + "]";
  return out;
}

}  // namespace

std::vector<LoadedTest> expand_kernels(std::vector<LoadedTest> tests,
                                       const std::vector<std::string>& kernels) {
  if (kernels.size() < 2) return tests;
  std::vector<LoadedTest> out;
  for (LoadedTest& test : tests) {
    if (!test.spec.kernel.empty()) {
      out.push_back(std::move(test));
      continue;
    }
    for (const std::string& kernel : kernels) out.push_back(on_kernel(test, kernel));
  }
  return out;
}

Result<TestPlan> plan_tests(PlanRequest request) {
  TestPlan plan;
  std::map<std::string, std::optional<size_t>> places;  // wish -> index; nullopt: it is not there
  std::map<std::string, Error> errors;
  std::string told;
  const std::string common = request.kernels.size() == 1 ? request.kernels[0] : "";
  for (LoadedTest& test : expand_kernels(std::move(request.tests), request.kernels)) {
    TestSpecT& spec = test.spec;
    const std::string wish = spec.kernel.empty() ? common : spec.kernel;
    const bool by_spec = !wish.empty() && std::find(request.kernels.begin(), request.kernels.end(), wish) ==
                                              request.kernels.end();
    auto [place, is_new] = places.try_emplace(wish);
    if (is_new) {
      auto kernel = request.resolve(wish);
      if (kernel) {
        if (by_spec) kernel->origin = "the spec's kernel = \"" + wish + "\"";
        place->second = plan.kernels.size();
        plan.kernels.push_back(std::move(*kernel));
      } else {
        errors.emplace(wish, std::move(kernel).error());
      }
    }
    if (request.filter) {
      const std::string release = place->second ? plan.kernels[*place->second].release : wish;
      if (!request.filter->matches({.test = spec.name,
                                    .kernel = release,
                                    .scheduler = spec.scheduler ? spec.scheduler->name : "none"}))
        continue;
    }
    if (!place->second) {
      // A kernel of the command line is reported without a place; a kernel of a spec with file and line, once for each
      // test that names it.
      const Error& error = errors.at(wish);
      std::string what = error.message();
      const std::string as_flag = "--kernel " + wish + ": ";
      if (by_spec && what.starts_with(as_flag)) what.erase(0, as_flag.size());
      std::string line =
          by_spec ? spec.file + ":" + std::to_string(spec.line) + ": kernel = \"" + wish + "\": " + what
                  : what;
      if (told.find(line) == std::string::npos) {
        told += (told.empty() ? "" : "\n") + line;
        if (!error.hint().empty()) told += "\n  hint: " + error.hint();
      }
      continue;
    }
    PlannedTest planned{.test = std::move(test), .kernel = *place->second, .skip = {}};
    planned.skip = planned.test.skip;
    const std::string& release = plan.kernels[*place->second].release;
    if (const std::string unmet = unmet_kernel_condition(planned.test.spec.kernels, release); !unmet.empty())
      planned.skip = "wants a kernel " + unmet + ", this is " + release;
    else if (request.host_memory_mb != 0 && planned.test.spec.memory_mb > request.host_memory_mb)
      planned.skip = "needs " + std::to_string(planned.test.spec.memory_mb) +
                     " MB of memory, this host has " + std::to_string(request.host_memory_mb);
    plan.tests.push_back(std::move(planned));
  }
  if (!told.empty()) return Error::invalid(told);
  return plan;
}

}  // namespace ktstr
