// Verbs that run a test many times: explore, minimize, bisect.
#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "base/result.h"
#include "launcher/cli/bisect_command.h"
#include "launcher/cli/explore_command.h"
#include "launcher/cli/minimize_command.h"
#include "launcher/cli/verbs.h"

namespace ktstr {
namespace {

// What explore, minimize and bisect run: one test of a spec.
template <typename Options>
void add_search_options(CLI::App& command, Options& options) {
  command.add_option("-E,--filter", options.filters, "only this test")->allow_extra_args(false);
  command.add_option("--kernel", options.kernel, "as in run");
  command.add_option("--scheduler-dir", options.scheduler_dirs, "as in run");
}

Runner add_explore(CLI::App& command, const Argv&) {
  auto options = std::make_shared<ExploreCommandOptions>();
  command.add_option("SPEC", options->specs, "test specs (TOML)")->required();
  add_search_options(command, *options);
  command.add_option("--seeds", options->seeds, "a seed or a range of them")->capture_default_str();
  command.add_option("--strategy", options->strategy, "random or few (docs/determinism.md)")
      ->capture_default_str();
  command.add_option("--jobs", options->jobs, "VMs at a time")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  command.add_flag("--until-fail", options->until_fail, "start no further seed once one has failed");
  command.add_flag(
      "--no-difference", options->no_difference,
      "do not look for the perturbations that the first failing seed needs (a run for each of them)");
  command.add_option("--out", options->out, "folder of the runs (default: one in the state folder)");
  return [options] { return explore_command(*options); };
}

Runner add_minimize(CLI::App& command, const Argv&) {
  auto options = std::make_shared<MinimizeCommandOptions>();
  command
      .add_option("LOG|SPEC", options->inputs,
                  "events.ktlog of a failing run, or specs (TOML) that fail: with --seed under that seed, "
                  "else plainly")
      ->required();
  add_search_options(command, *options);
  command.add_option("--seed", options->seed, "deterministic runs with this seed (default: as recorded)");
  command.add_option("--strategy", options->strategy, "with a seed: random or few (default: as recorded)");
  command
      .add_option("--tries,--seeds", options->tries,
                  "runs of each smaller spec before it counts as passing: with the failing seed and those "
                  "after it, or plain ones")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  command.add_option("--budget", options->budget_s, "seconds; then the smallest spec so far is printed")
      ->check(CLI::Range(1.0, 1e7))
      ->capture_default_str();
  command.add_option("--runs", options->runs, "the greatest number of runs (default: no limit)");
  command.add_option("--out", options->out, "folder of the runs (default: one in the state folder)");
  command.add_option("--write", options->write,
                     "write the spec to this file (default: minimal.toml in the folder of the runs)");
  return [options] { return minimize_command(*options); };
}

Runner add_bisect(CLI::App& command, const Argv&) {
  auto options = std::make_shared<BisectCommandOptions>();
  command.add_option("SPEC", options->specs, "test specs (TOML)")->required();
  add_search_options(command, *options);
  command
      .add_option("--good", options->good,
                  "a commit, tag or branch; with --kernels a cached release or series")
      ->required();
  command.add_option("--bad", options->bad, "the same")->required();
  command.add_flag("--kernels", options->kernels,
                   "bisect the cached kernels; without it the commits, in a worktree, of the repository that "
                   "holds the spec");
  command.add_flag("--tags", options->tags, "of the commits only those that have a tag");
  command.add_option("--signature", options->signature, "the failure to look for (default: the bad end's)");
  command.add_option("--seed", options->seed, "deterministic runs with this seed");
  command.add_option("--strategy", options->strategy, "with --seed: random or few")
      ->needs("--seed")
      ->capture_default_str();
  command
      .add_option(
          "--tries,--seeds", options->tries,
          "runs of each, with the seed and those after it, or plain ones; one that fails makes it bad")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  command.add_option("--out", options->out, "folder of the runs (default: one in the state folder)");
  return [options] { return bisect_command(*options); };
}

constexpr Verb kSearchVerbs[] = {
    {"explore", "run a test under many seeds, each a deterministic run, and count how it fails", add_explore},
    {"minimize", "make the spec of a failing run smaller, as long as it fails in the same way", add_minimize},
    {"bisect", "find the first kernel, or the first commit of a scheduler, under which a test fails",
     add_bisect},
};

}  // namespace

std::span<const Verb> search_verbs() { return kSearchVerbs; }

}  // namespace ktstr
