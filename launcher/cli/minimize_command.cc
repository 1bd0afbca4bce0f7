#include "launcher/cli/minimize_command.h"

#include <cstdio>
#include <filesystem>

#include "base/clock.h"
#include "base/small_files.h"
#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/prepared_run.h"
#include "launcher/cli/search_options.h"
#include "launcher/deterministic/perturbation.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/run/recorded_run.h"
#include "launcher/search/minimizer.h"
#include "launcher/search/trial.h"
#include "launcher/vm/qemu_command.h"
#include "schemas/exit_code.h"
#include "schemas/log_reader.h"
#include "schemas/spec_generated.h"
#include "spec/binary_finder.h"
#include "spec/spec_writer.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr char kMinimal[] = "nothing more can be left out";

void say(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

// The run whose failure is looked for.
struct Start {
  TestSpecT spec;
  std::string failure;  // empty: what the first run shows
  std::string kernel;   // as --kernel
  std::optional<uint64_t> seed;
  std::string strategy = "random";
  std::string folder;  // of the spec that it was made from
  bool auto_repro = true;
};

Result<Start> start_of_log(const std::string& log, const MinimizeCommandOptions& options) {
  auto cache = kernel_cache_dir();
  if (!cache) return std::move(cache).error();
  auto recorded =
      read_recorded_run({.log = log, .store = fs::path(*cache).parent_path().string() + "/files"});
  if (!recorded) return std::move(recorded).error();
  const RunStartedT& started = recorded->started;
  if (!started.spec->body.empty())
    return Error::unsupported(
               log + ": the test is a C++ body: its workload is code, which minimize cannot make smaller")
        .with_hint("minimize takes tests of TOML specs");
  const TrialEnd end = read_trial_log(log);
  Start start{.spec = test_to_shrink(*started.spec), .failure = failure_of(end)};
  if (start.failure.empty() && !end.signature.empty() && started.spec->expect_err)
    start.failure = end.signature;
  if (start.failure.empty())
    return Error::invalid(log + ": this run did not fail (" + trial_text(end) + ")")
        .with_hint("minimize takes a failing run");
  if (started.kernel) {
    auto cached = KernelCache(*cache).find(started.kernel->release);
    start.kernel = cached && *cached ? started.kernel->release : started.kernel->path;
  }
  if (!options.kernel.empty()) start.kernel = options.kernel;
  if (started.determinism) {
    start.seed = started.determinism->seed;
    if (started.determinism->strategy != "none") start.strategy = started.determinism->strategy;
  }
  if (options.seed) start.seed = options.seed;
  if (!options.strategy.empty()) start.strategy = options.strategy;
  start.auto_repro = started.spec->auto_repro;
  std::error_code error;
  start.folder = fs::absolute(started.spec->file, error).parent_path().lexically_normal().string();
  return start;
}

std::string beside_or_absolute(const std::string& as_written, const std::string& host_path,
                               const std::string& spec) {
  if (host_path.empty()) return as_written;
  const DirBinaryFinder finder(
      {.build_schedulers_dir = program_folder() + "/../schedulers", .path = env_value("PATH")});
  auto found = finder.find(as_written, spec);
  std::error_code error;
  if (found && fs::equivalent(*found, host_path, error)) return as_written;
  const fs::path beside = fs::path(host_path).lexically_relative(fs::path(spec).parent_path());
  const bool below = !beside.empty() && *beside.begin() != "..";
  return below ? "./" + beside.string() : host_path;
}

class Minimization {
 public:
  Minimization(const MinimizeCommandOptions& options, std::string folder)
      : options_(options), folder_(std::move(folder)), trials_(program_folder() + "/ktstr-launch") {
    begin_ns_ = now_ns();
    trials_.end_at(begin_ns_ + static_cast<uint64_t>(options.budget_s * 1e9));
  }

  // The failing run: that of the log, or a first run of the spec.
  Result<Start> start() {
    if (options_.inputs.size() == 1 && LogReader::open(options_.inputs[0]))
      return start_of_log(options_.inputs[0], options_);
    TrialRequest request{.specs = options_.inputs,
                         .filters = options_.filters,
                         .scheduler_dirs = options_.scheduler_dirs,
                         .kernel = options_.kernel,
                         .seed = options_.seed,
                         .strategy = options_.strategy.empty() ? "random" : options_.strategy};
    const unsigned tries = std::max(options_.tries, 1u);
    TrialEnd end;
    for (unsigned i = 0; i < tries && !over(); ++i) {
      if (options_.seed) request.seed = *options_.seed + i;
      auto ended = run(request, "first-" + std::to_string(i + 1));
      if (!ended) return std::move(ended).error();
      end = std::move(*ended);
      if (is_wrong_command(end.exit_code))
        return Error::invalid(end.words.starts_with("error: ") ? end.words.substr(7) : end.words);
      if (end.logs > 1)
        return Error::invalid("this selects " + std::to_string(end.logs) + " tests; minimize takes one")
            .with_hint("-E 'test(=NAME)', and one --kernel");
      say("run " + std::to_string(runs_) + ": the spec: " + trial_text(end));
      if (end.log.empty()) break;
      if (!failure_of(end).empty()) return start_of_log(end.log, options_);
    }
    return Error::invalid("the spec does not fail: " + trial_text(end))
        .with_hint(options_.seed ? "explore finds a seed that fails"
                                 : "--tries N tries more often; explore finds a seed that fails");
  }

  int minimize(Start start) {
    Minimizer minimizer(start.spec, {.failure = start.failure, .seed = start.seed, .tries = options_.tries});
    say("looking for: " + printable(start.failure));
    std::string why = kMinimal;
    while (true) {
      auto trial = minimizer.next();
      if (!trial) break;
      if (over()) {
        why = why_over();
        break;
      }
      auto end = try_one(*trial, start);
      if (!end) return report_error(end.error(), kInfra);
      if (trials_.ending()) {
        why = why_over();
        break;
      }
      if (is_wrong_command(end->exit_code)) {
        report_error(Error::invalid("a candidate could not be run: " + end->words), end->exit_code);
        return end->exit_code;
      }
      const bool same = minimizer.ended(failure_of(*end), trial_text(*end));
      say("run " + std::to_string(runs_) + ", " + human_ns(now_ns() - begin_ns_) + ": " +
          printable(trial->what) + (trial->seed ? ", seed " + std::to_string(*trial->seed) : "") + ": " +
          (same ? "still fails" : trial_text(*end)));
    }
    return finish(minimizer, start, why);
  }

  int signal() const { return trials_.signal(); }

 private:
  bool over() const { return trials_.ending() || (options_.runs != 0 && runs_ >= options_.runs); }
  std::string why_over() const {
    if (trials_.signal() != 0) return "interrupted";
    return trials_.out_of_time() ? "--budget is used up" : "--runs is used up";
  }
  static bool is_wrong_command(int code) {
    return code == kUsage || code == exit_code(ExitCode::kNoTests) || code == exit_code(ExitCode::kFilter);
  }

  Result<TrialEnd> run(const TrialRequest& request, const std::string& name) {
    ++runs_;
    if (auto s = trials_.start(0, request, folder_ + "/" + name); !s) return std::move(s).error();
    return trials_.wait().end;
  }

  Result<TrialEnd> try_one(const Minimizer::Trial& trial, const Start& start) {
    const std::string name = std::to_string(runs_ + 1), file = folder_ + "/" + name + ".toml";
    const std::string text = spec_text(
        *trial.spec,
        {.place = [](const std::string& as_written,
                     const std::string& host_path) { return host_path.empty() ? as_written : host_path; },
         .build = false});
    if (auto s = write_file_atomically(file, text, {.sync = false}); !s) return std::move(s).error();
    return run({.specs = {file}, .kernel = start.kernel, .seed = trial.seed, .strategy = start.strategy},
               name);
  }

  // The spec to commit. It is run once more, as its reader will run it.
  int finish(const Minimizer& minimizer, const Start& start, const std::string& why) {
    std::fputs(records_text(minimizer.records()).c_str(), stderr);
    say(std::to_string(runs_) + " runs in " + human_ns(now_ns() - begin_ns_) + ": " + why);
    if (!minimizer.reproduced()) {
      if (trials_.signal() != 0) return interrupted();
      return report_error(Error::invalid("the failure did not show again: nothing is proved")
                              .with_hint("--tries N tries more often"),
                          exit_code(ExitCode::kInconclusive));
    }
    std::error_code error;
    const std::string file = options_.write.empty()
                                 ? folder_ + "/minimal.toml"
                                 : fs::absolute(options_.write, error).lexically_normal().string();
    const TrialRequest rerun{
        .specs = {file}, .kernel = start.kernel, .seed = minimizer.seed(), .strategy = start.strategy};
    TestSpecT spec(minimizer.best());
    spec.auto_repro = start.auto_repro;
    const std::string text =
        "# Made smaller by ktstr-launch minimize: " + why + ". It fails with:\n#   " +
        printable(minimizer.failure()) + "\n# " + command_text(rerun, file) + "\n\n" +
        spec_text(spec, {.place =
                             [&](const std::string& as_written, const std::string& host_path) {
                               return beside_or_absolute(as_written, host_path, file);
                             },
                         .build = fs::path(file).parent_path() == start.folder});
    if (auto s = write_file_atomically(file, text); !s) return report_error(s.error(), kInfra);
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    say("spec: " + file + "\nrun it: " + shell_quote(trial_command(rerun)));
    if (trials_.signal() != 0) return interrupted();
    if (trials_.out_of_time()) {
      say("it was not run once more as written: --budget is used up");
      return 0;
    }
    return confirm(rerun, minimizer.failure());
  }

  int confirm(TrialRequest request, const std::string& failure) {
    request.options = {"--no-build"};
    auto end = run(request, "minimal");
    if (!end) return report_error(end.error(), kInfra);
    if (trials_.signal() != 0) return interrupted();
    const bool same = failure_of(*end) == failure;
    say(std::string("run once more as written: ") + (same ? "fails in the same way" : trial_text(*end)));
    return same ? 0 : exit_code(ExitCode::kInconclusive);
  }

  static std::string command_text(TrialRequest request, const std::string& file) {
    request.specs = {fs::path(file).filename().string()};
    return shell_quote(trial_command(request));
  }

  int interrupted() const { return signal_exit_code(trials_.signal()); }

  const MinimizeCommandOptions& options_;
  std::string folder_;
  Trials trials_;
  uint64_t begin_ns_ = 0, runs_ = 0;
};

}  // namespace

int minimize_command(const MinimizeCommandOptions& options) {
  if (!options.strategy.empty())
    if (auto known = determinism_for(1, options.strategy); !known) return report_error(known.error(), kUsage);
  auto folder = search_folder(options.out);
  if (!folder) return report_error(folder.error(), kInfra);
  Minimization minimization(options, *folder);
  auto start = minimization.start();
  if (!start)
    return minimization.signal() != 0 ? signal_exit_code(minimization.signal())
                                      : report_error(start.error(), kUsage);
  return minimization.minimize(std::move(*start));
}

}  // namespace ktstr
