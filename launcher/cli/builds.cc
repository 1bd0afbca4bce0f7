#include "launcher/cli/builds.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/child.h"
#include "base/wording.h"
#include "schemas/spec_generated.h"

namespace ktstr {

std::vector<BuildStep> builds_of(const TestPlan& plan) {
  std::vector<BuildStep> steps;
  for (const PlannedTest& planned : plan.tests) {
    const TestSpecT& spec = planned.test.spec;
    if (!planned.skip.empty() || !spec.body.empty() || !spec.scheduler) continue;
    const SchedulerSpecT& scheduler = *spec.scheduler;
    if (scheduler.build.empty() || !scheduler.chosen_by.empty()) continue;
    std::string folder = std::filesystem::path(spec.file).parent_path().string();
    if (folder.empty()) folder = ".";
    const bool known = std::any_of(steps.begin(), steps.end(), [&](const BuildStep& s) {
      return s.command == scheduler.build && s.folder == folder;
    });
    if (!known) steps.push_back({scheduler.name, scheduler.build, std::move(folder)});
  }
  return steps;
}

Status run_builds(const std::vector<BuildStep>& steps, const std::function<void(const std::string&)>& say) {
  constexpr std::chrono::milliseconds kTurn{60'000};
  for (const BuildStep& step : steps) {
    say("build of scheduler " + step.scheduler + ": " + step.command);
    const std::string what = "build of scheduler " + in_quotes(step.scheduler) + ", " +
                             in_quotes(step.command) + " in " + step.folder;
    ChildOptions options;
    options.argv = {"sh", "-c", "cd -- \"$0\" && exec sh -c \"$1\"", step.folder, step.command};
    options.stdout_fd = 2;
    options.own_session = false;  // Ctrl-C ends the compilers, too
    auto child = Child::spawn(options);
    if (!child) return std::move(child).error().within(what);
    std::optional<ChildExit> end;
    while (!(end = child->wait(kTurn))) {
    }
    if (!end->clean())
      return Error::invalid(what + ": " + end->to_string())
          .with_hint("--no-build runs with the binary that is there");
  }
  return {};
}

}  // namespace ktstr
