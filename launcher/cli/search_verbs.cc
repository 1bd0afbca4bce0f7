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
  command.add_option("--jobs", options->jobs, "number of VMs to run at the same time")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  command.add_flag("--until-fail", options->until_fail, "start no further seed after one that failed");
  command.add_flag("--no-difference", options->no_difference,
                   "do not search which perturbations the first failing seed needs (one run for each)");
  command.add_option("--out", options->out, "folder of the runs (default: one in the state folder)");
  return [options] { return explore_command(*options); };
}

Runner add_minimize(CLI::App& command, const Argv&) {
  auto options = std::make_shared<MinimizeCommandOptions>();
  command.footer(
      "Exit codes: 0 a smaller spec, or nothing could be removed; 2 no failing run; 4 the failure did not "
      "happen again, or\n"
      "the written spec did not fail; 130/143 interrupted.\n");
  command
      .add_option(
          "LOG|SPEC", options->inputs,
          "events.ktlog of a failing run, or specs (TOML) whose test fails: with --seed under that seed, "
          "else in plain runs")
      ->required();
  add_search_options(command, *options);
  command.add_option("--seed", options->seed, "deterministic runs with this seed (default: as recorded)");
  command.add_option("--strategy", options->strategy, "with a seed: random or few (default: as recorded)");
  command
      .add_option("--tries,--seeds", options->tries,
                  "a smaller spec counts as passing after this many runs that did not fail: with the failing "
                  "seed and those after it, or plain runs")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  command
      .add_option("--budget", options->budget_s,
                  "stop after this many seconds, and print the smallest spec so far")
      ->check(CLI::Range(1.0, 1e7))
      ->capture_default_str();
  command.add_option("--runs", options->runs, "stop after this many runs (default: no limit)");
  command.add_option("--out", options->out, "folder of the runs (default: one in the state folder)");
  command.add_option("--write", options->write,
                     "write the spec to this file (default: minimal.toml in the folder of the runs)");
  return [options] { return minimize_command(*options); };
}

Runner add_bisect(CLI::App& command, const Argv&) {
  auto options = std::make_shared<BisectCommandOptions>();
  command.footer(
      "Exit codes: 0 the first bad kernel or commit is found; 2 bad command line or spec; 4 the bad end does "
      "not fail, the\n"
      "good one does, or skipped ones lie between; 130/143 interrupted.\n");
  command.add_option("SPEC", options->specs, "test specs (TOML)")->required();
  add_search_options(command, *options);
  command
      .add_option("--good", options->good,
                  "a commit, tag or branch; with --kernels a cached release or series")
      ->required();
  command.add_option("--bad", options->bad, "as --good")->required();
  command.add_flag(
      "--kernels", options->kernels,
      "bisect the cached kernels; without it bisect the commits of the repository that holds the "
      "spec, each in a worktree");
  command.add_flag("--tags", options->tags, "only commits that have a tag");
  command.add_option("--signature", options->signature, "the failure to look for (default: the bad end's)");
  command.add_option("--seed", options->seed, "deterministic runs with this seed");
  command.add_option("--strategy", options->strategy, "with --seed: random or few")
      ->needs("--seed")
      ->capture_default_str();
  command
      .add_option("--tries,--seeds", options->tries,
                  "runs of each kernel or commit, with the seed and those after it, or plain runs; one "
                  "failure makes it bad")
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
