#include "launcher/cli/explore_command.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>

#include "base/clock.h"
#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/search_options.h"
#include "launcher/deterministic/perturbation.h"
#include "launcher/run/run_facts.h"
#include "launcher/search/trial.h"
#include "launcher/vm/qemu_command.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

constexpr uint64_t kMostSeeds = 1'000'000;
constexpr size_t kSeedsShown = 12;

class Exploration {
 public:
  Exploration(const ExploreCommandOptions& options, std::string folder)
      : options_(options), folder_(std::move(folder)), trials_(program_folder() + "/ktstr-launch") {}

  TrialRequest request(uint64_t seed, const std::string& drop = "") const {
    return {.specs = options_.specs,
            .filters = options_.filters,
            .scheduler_dirs = options_.scheduler_dirs,
            .kernel = options_.kernel,
            .seed = seed,
            .strategy = options_.strategy,
            .drop = drop,
            .options = {}};
  }

  // An error ends the exploration.
  Status run(const SeedRange& range) {
    uint64_t next = range.first;
    while (true) {
      while (!stop_ && !trials_.ending() && next <= range.last && trials_.running() < options_.jobs) {
        if (auto s = trials_.start(next, request(next), folder_ + "/seed-" + std::to_string(next)); !s)
          return s;
        ++next;
      }
      if (trials_.running() == 0) return {};
      Trials::Ended ended = trials_.wait();
      if (trials_.signal() == 0) take(ended.id, std::move(ended.end));
    }
  }
  std::vector<SeedEnd>& ends() { return ends_; }
  int signal() const { return trials_.signal(); }

  // Which perturbations of a failing seed its failure needs: each is left out in turn, and stays out if the run fails in the same
  // way. What remains is the smallest difference to a run that passes.
  Result<SeedDifference> difference(const SeedEnd& failed) {
    const auto all = perturbations_of(*determinism_for(failed.seed, options_.strategy));
    SeedDifference out;
    std::string dropped;
    for (const Perturbation& one : all) {
      const std::string drop = dropped + (dropped.empty() ? "" : ",") + one.name;
      const std::string name = "seed-" + std::to_string(failed.seed) + "-without-" + std::to_string(++runs_);
      if (auto s = trials_.start(0, request(failed.seed, drop), folder_ + "/" + name); !s)
        return std::move(s).error();
      const TrialEnd end = trials_.wait().end;
      if (trials_.ending()) break;
      const bool same = failure_of(end) == failed.failure;
      std::printf("seed %llu without %s: %s\n", static_cast<unsigned long long>(failed.seed), drop.c_str(),
                  same ? "fails in the same way" : trial_text(end).c_str());
      std::fflush(stdout);
      (same ? out.spare : out.needed).push_back(one.text);
      if (same) dropped = drop;
      if (!same) out.nearest = drop;
    }
    out.drop = dropped;
    return out;
  }

 private:
  void take(uint64_t seed, TrialEnd end) {
    const int code = end.exit_code;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                code == 0   ? "passed"
                : code == 1 ? ("FAILED: " + printable(end.summary.empty() ? end.words : end.summary)).c_str()
                            : trial_text(end).c_str());
    std::fflush(stdout);
    stop_ = stop_ || (options_.until_fail && code == exit_code(ExitCode::kTestFailed)) ||
            code == exit_code(ExitCode::kUsage) || code == exit_code(ExitCode::kNoTests) ||
            code == exit_code(ExitCode::kFilter);
    ends_.push_back({.seed = seed,
                     .exit_code = code,
                     .summary = end.summary,
                     .signature = end.signature,
                     .failure = failure_of(end),
                     .log = end.log});
  }

  const ExploreCommandOptions& options_;
  std::string folder_;
  Trials trials_;
  std::vector<SeedEnd> ends_;
  unsigned runs_ = 0;
  bool stop_ = false;
};

}  // namespace

Result<SeedRange> parse_seeds(const std::string& text) {
  SeedRange range;
  const size_t dots = text.find("..");
  const std::string_view first = std::string_view(text).substr(0, dots);
  const std::string_view last = dots == text.npos ? first : std::string_view(text).substr(dots + 2);
  for (auto [word, value] : {std::pair{first, &range.first}, std::pair{last, &range.last}}) {
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *value);
    if (error != std::errc() || end != word.data() + word.size() || word.empty())
      return Error::invalid("--seeds " + text + ": not a seed or a range of seeds").with_hint("as in 1..200");
  }
  if (range.last < range.first || range.last - range.first >= kMostSeeds)
    return Error::invalid("--seeds " + text + ": from 1 to 1,000,000 seeds, the lower one first");
  return range;
}

// As a user gives it.
static std::string rerun_text(const TrialRequest& request) {
  return shell_quote(with_switches(shell_switches(), trial_command(request)));
}

std::string explore_text(const std::vector<SeedEnd>& ends) {
  std::map<std::string, std::vector<uint64_t>> failures;  // by signature, or by summary where there is none
  size_t passed = 0, undecided = 0;
  for (const SeedEnd& end : ends) {
    if (end.exit_code == 0)
      ++passed;
    else if (end.exit_code == exit_code(ExitCode::kTestFailed))
      failures[end.signature.empty() ? end.summary : end.signature].push_back(end.seed);
    else
      ++undecided;
  }
  std::string out = std::to_string(ends.size()) + " seeds: " + std::to_string(passed) + " passed, " +
                    std::to_string(ends.size() - passed - undecided) + " failed";
  if (undecided) out += ", " + std::to_string(undecided) + " without a verdict";
  out += "\n";
  for (auto& [signature, seeds] : failures) {
    std::sort(seeds.begin(), seeds.end());
    out += "  " + std::to_string(seeds.size()) + " × " + printable(signature) + "\n    seeds";
    for (size_t i = 0; i < seeds.size() && i < kSeedsShown; ++i) out += " " + std::to_string(seeds[i]);
    out += seeds.size() > kSeedsShown ? " …\n" : "\n";
  }
  return out;
}

std::string difference_text(uint64_t seed, const SeedDifference& difference) {
  std::string out;
  const auto list = [&](const std::string& title, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    out += title + "\n";
    for (const std::string& text : texts) out += "  " + text + "\n";
  };
  const std::string name = "seed " + std::to_string(seed);
  list(name + " fails with, and passes or fails otherwise without:", difference.needed);
  list(name + " fails as well without:", difference.spare);
  if (difference.needed.empty() && !difference.spare.empty())
    out += name + " needs none of them: the unperturbed course fails (seed 0)\n";
  return out;
}

int explore_command(const ExploreCommandOptions& options) {
  auto range = parse_seeds(options.seeds);
  if (!range) return report_error(range.error(), kUsage);
  if (auto known = determinism_for(1, options.strategy); !known) return report_error(known.error(), kUsage);
  auto folder = search_folder(options.out);
  if (!folder) return report_error(folder.error(), kInfra);
  const uint64_t begin = now_ns();
  Exploration exploration(options, *folder);
  if (auto s = exploration.run(*range); !s) return report_error(s.error(), kInfra);
  auto& ends = exploration.ends();
  std::sort(ends.begin(), ends.end(), [](const SeedEnd& a, const SeedEnd& b) { return a.seed < b.seed; });
  std::fputs(explore_text(ends).c_str(), stdout);
  const double minutes = static_cast<double>(now_ns() - begin) / 60e9;
  std::printf("%.1f seeds per minute\n", static_cast<double>(ends.size()) / minutes);
  std::fflush(stdout);
  ExitCode code = ExitCode::kPass;
  for (const SeedEnd& end : ends) code = merge_exit_codes(code, static_cast<ExitCode>(end.exit_code));
  auto failed = std::find_if(ends.begin(), ends.end(), [](const SeedEnd& e) {
    return e.exit_code == exit_code(ExitCode::kTestFailed);
  });
  const auto interrupted = [&] { return signal_exit_code(exploration.signal()); };
  if (failed == ends.end()) return exploration.signal() != 0 ? interrupted() : exit_code(code);
  std::printf("first failing seed %llu\n", static_cast<unsigned long long>(failed->seed));
  for (const Perturbation& p : perturbations_of(*determinism_for(failed->seed, options.strategy)))
    std::printf("  %s: %s\n", p.name.c_str(), p.text.c_str());
  std::printf("log: %s\nrerun: %s\n", failed->log.c_str(),
              rerun_text(exploration.request(failed->seed)).c_str());
  std::fflush(stdout);
  if (exploration.signal() != 0) return interrupted();
  if (options.no_difference) return exit_code(ExitCode::kTestFailed);
  auto difference = exploration.difference(*failed);
  if (!difference) return report_error(difference.error(), kInfra);
  std::fputs(difference_text(failed->seed, *difference).c_str(), stdout);
  if (exploration.signal() != 0) return interrupted();
  if (!difference->drop.empty())
    std::printf("rerun with the needed ones only: %s\n",
                rerun_text(exploration.request(failed->seed, difference->drop)).c_str());
  if (!difference->nearest.empty())
    std::printf("the nearest run that does not fail in this way: %s\n",
                rerun_text(exploration.request(failed->seed, difference->nearest)).c_str());
  return exit_code(ExitCode::kTestFailed);
}

}  // namespace ktstr
