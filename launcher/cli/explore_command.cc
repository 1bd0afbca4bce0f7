#include "launcher/cli/explore_command.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "base/child.h"
#include "base/clock.h"
#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/deterministic/perturbation.h"
#include "launcher/vm/qemu_command.h"
#include "schemas/event_generated.h"
#include "schemas/exit_code.h"
#include "schemas/log_reader.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

constexpr uint64_t kMostSeeds = 1'000'000;
constexpr size_t kSeedsShown = 12;

struct Job {
  uint64_t seed;
  Child child;
};

class Exploration {
 public:
  explicit Exploration(const ExploreCommandOptions& options) : options_(options) {}

  std::vector<std::string> run_argv(uint64_t seed) const {
    std::vector<std::string> argv = {"ktstr-launch", "run"};
    argv.insert(argv.end(), options_.specs.begin(), options_.specs.end());
    for (const auto& filter : options_.filters) argv.insert(argv.end(), {"-E", filter});
    for (const auto& folder : options_.scheduler_dirs) argv.insert(argv.end(), {"--scheduler-dir", folder});
    if (!options_.kernel.empty()) argv.insert(argv.end(), {"--kernel", options_.kernel});
    argv.insert(argv.end(), {"--deterministic", "--seed", std::to_string(seed)});
    if (options_.strategy != "random") argv.insert(argv.end(), {"--strategy", options_.strategy});
    return argv;
  }
  std::string folder(uint64_t seed) const { return options_.out + "/seed-" + std::to_string(seed); }

  // An error ends the exploration.
  Status run(const SeedRange& range) {
    uint64_t next = range.first;
    while (true) {
      while (!stop_ && next <= range.last && jobs_.size() < options_.jobs)
        if (auto s = start(next++); !s) return s;
      if (jobs_.empty()) return {};
      wait();
    }
  }
  std::vector<SeedEnd>& ends() { return ends_; }

 private:
  Status start(uint64_t seed) {
    std::vector<std::string> argv = run_argv(seed);
    argv[0] = program_folder() + "/ktstr-launch";
    argv.insert(argv.end(), {"--out", folder(seed), "--quiet"});
    const std::string words = folder(seed) + ".txt";
    UniqueFd out(::open(words.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!out) return Error::from_errno("open " + words);
    auto child = Child::spawn({.argv = argv, .stdout_fd = out.get(), .stderr_fd = out.get()});
    if (!child) return std::move(child).error();
    jobs_.push_back({seed, std::move(child).value()});
    return {};
  }

  void wait() {
    std::vector<pollfd> fds;
    for (const Job& job : jobs_) fds.push_back({job.child.pidfd(), POLLIN, 0});
    ::poll(fds.data(), fds.size(), -1);
    for (size_t i = jobs_.size(); i-- > 0;) {
      auto exit = jobs_[i].child.poll();
      if (!exit) continue;
      ended(jobs_[i].seed, exit->signal != 0 ? exit_code(ExitCode::kInfrastructure) : exit->exit_code);
      jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  void ended(uint64_t seed, int code) {
    SeedEnd end{.seed = seed, .exit_code = code, .summary = {}, .signature = {}};
    std::error_code error;
    for (const auto& test : std::filesystem::directory_iterator(folder(seed), error))
      read_verdict(test.path(), end);
    std::printf("seed %llu: %s%s\n", static_cast<unsigned long long>(seed),
                code == 0   ? "passed"
                : code == 1 ? "FAILED: "
                            : "no verdict: ",
                code == 0
                    ? ""
                    : printable(end.summary.empty() ? "see " + folder(seed) + ".txt" : end.summary).c_str());
    std::fflush(stdout);
    stop_ = stop_ || (options_.until_fail && code == exit_code(ExitCode::kTestFailed)) ||
            code == exit_code(ExitCode::kUsage) || code == exit_code(ExitCode::kNoTests) ||
            code == exit_code(ExitCode::kFilter);
    ends_.push_back(std::move(end));
  }

  static void read_verdict(const std::string& folder, SeedEnd& end) {
    auto reader = LogReader::open(folder + "/events.ktlog");
    if (!reader) return;
    while (true) {
      auto event = reader->next();
      if (!event || !*event) return;
      auto* verdict = (*event)->as<Verdict>();
      if (!verdict || verdict->exit_code() == 0) continue;
      end.summary = str(verdict->summary());
      end.signature = str(verdict->signature());
    }
  }

  const ExploreCommandOptions& options_;
  std::vector<Job> jobs_;
  std::vector<SeedEnd> ends_;
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

int explore_command(const ExploreCommandOptions& options) {
  auto range = parse_seeds(options.seeds);
  if (!range) return report_error(range.error(), kUsage);
  if (auto known = determinism_for(1, options.strategy); !known) return report_error(known.error(), kUsage);
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) return report_error(Error::system("make " + options.out + ": " + error.message()), kInfra);
  const uint64_t begin = now_ns();
  Exploration exploration(options);
  if (auto s = exploration.run(*range); !s) return report_error(s.error(), kInfra);
  auto& ends = exploration.ends();
  std::sort(ends.begin(), ends.end(), [](const SeedEnd& a, const SeedEnd& b) { return a.seed < b.seed; });
  std::fputs(explore_text(ends).c_str(), stdout);
  const double minutes = static_cast<double>(now_ns() - begin) / 60e9;
  std::printf("%.1f seeds per minute\n", static_cast<double>(ends.size()) / minutes);
  ExitCode code = ExitCode::kPass;
  for (const SeedEnd& end : ends) code = merge_exit_codes(code, static_cast<ExitCode>(end.exit_code));
  auto failed = std::find_if(ends.begin(), ends.end(), [](const SeedEnd& e) {
    return e.exit_code == exit_code(ExitCode::kTestFailed);
  });
  if (failed == ends.end()) return exit_code(code);
  const auto none = determinism_for(0, options.strategy);
  const auto perturbed = determinism_for(failed->seed, options.strategy);
  std::printf("first failing seed %llu", static_cast<unsigned long long>(failed->seed));
  for (const std::string& word : differences(*none, *perturbed)) std::printf("; %s", word.c_str());
  std::printf("\nlog: %s\nrerun: %s\n", exploration.folder(failed->seed).c_str(),
              shell_quote(exploration.run_argv(failed->seed)).c_str());
  return exit_code(ExitCode::kTestFailed);
}

}  // namespace ktstr
