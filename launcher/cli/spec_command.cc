// ktstr-launch list SPEC…, show TEST SPEC…: what the specs hold, without a kernel or a VM.
#include <cstdio>

#include "base/json.h"
#include "base/text.h"
#include "base/wording.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/run_plan.h"
#include "launcher/cli/spec_files.h"
#include "schemas/exit_code.h"
#include "schemas/spec_generated.h"
#include "spec/filter.h"
#include "spec/spec.h"
#include "spec/spec_show.h"

namespace ktstr {
namespace {

std::string scheduler_name(const TestSpecT& spec) { return spec.scheduler ? spec.scheduler->name : "none"; }

nlohmann::ordered_json to_json(const TestSpecT& spec) {
  const TopologyT& t = *spec.topology;
  return {{"name", spec.name},
          {"file", spec.file},
          {"line", spec.line},
          {"scheduler", scheduler_name(spec)},
          {"vcpus", t.llcs * t.cores * t.threads},
          {"memory_mb", spec.memory_mb},
          {"kernel", spec.kernel.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(spec.kernel)},
          {"base_name", spec.base_name},
          {"matrix", spec.matrix},
          {"duration_s", static_cast<double>(spec.duration_ns) / 1e9},
          {"expect_err", spec.expect_err}};
}

}  // namespace

int list_command(const ListCommandOptions& options) {
  // Binaries are not looked for, kernels neither: a list must work on a machine that has none.
  auto tests = load_all_tests(options.specs,
                              {.environment = [](const std::string& name) { return env_value(name.c_str()); },
                               .topologies = options.topologies});
  if (!tests) return report_error(tests.error(), exit_code(ExitCode::kUsage));
  *tests = expand_kernels(std::move(*tests), options.kernels);
  if (!options.filters.empty()) {
    auto filter = Filter::parse_any(options.filters);
    if (!filter) return report_error(filter.error(), exit_code(ExitCode::kFilter));
    const std::string common = options.kernels.size() == 1 ? options.kernels[0] : "";
    std::erase_if(*tests, [&](const LoadedTest& t) {
      return !filter->matches({.test = t.spec.name,
                               .kernel = t.spec.kernel.empty() ? common : t.spec.kernel,
                               .scheduler = scheduler_name(t.spec)});
    });
  }
  if (tests->empty())
    return report_error(Error::not_found("no test is selected"), exit_code(ExitCode::kNoTests));
  auto json = nlohmann::ordered_json::array();
  for (const auto& test : *tests) {
    if (options.json)
      json.push_back(to_json(test.spec));
    else
      std::printf("%-40s %-20s %s:%u\n", test.spec.name.c_str(), scheduler_name(test.spec).c_str(),
                  printable(test.spec.file).c_str(), test.spec.line);
  }
  if (options.json) std::printf("%s\n", json_text(json, 2).c_str());
  return 0;
}

int show_command(const ShowCommandOptions& options) {
  auto tests = load_all_tests(
      options.specs, {.environment = [](const std::string& name) { return env_value(name.c_str()); }});
  if (!tests) return report_error(tests.error(), exit_code(ExitCode::kUsage));
  // A test's own name, or that of a whole matrix.
  std::string names;
  size_t shown = 0;
  for (bool whole : {false, true}) {
    for (const auto& test : *tests) {
      if ((whole ? test.spec.base_name : test.spec.name) != options.test) continue;
      std::fputs(((shown++ ? "\n" : "") + show_test(test)).c_str(), stdout);
      if (!whole) return 0;
    }
  }
  if (shown) return 0;
  std::vector<std::string> known;
  for (const auto& test : *tests) {
    known.push_back(test.spec.name);
    names += (names.empty() ? "" : ", ") + test.spec.name;
  }
  const std::string meant = closest(options.test, known);
  return report_error(Error::not_found("no test is called " + options.test)
                          .with_hint(meant.empty() ? "there are: " + names : "did you mean " + meant + "?"),
                      kUsage);
}

}  // namespace ktstr
