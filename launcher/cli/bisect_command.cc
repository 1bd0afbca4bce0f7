#include "launcher/cli/bisect_command.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "base/child.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/wording.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/prepared_run.h"
#include "launcher/cli/search_options.h"
#include "launcher/cli/spec_files.h"
#include "launcher/deterministic/perturbation.h"
#include "launcher/kernel/kernel_cache.h"
#include "launcher/search/bisection.h"
#include "launcher/search/trial.h"
#include "launcher/vm/qemu_command.h"
#include "schemas/exit_code.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

void tell(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

// What is bisected: points in order from the good end to the bad one.
class BisectSpace {
 public:
  virtual ~BisectSpace() = default;
  virtual size_t size() const = 0;
  virtual std::string name(size_t point) const = 0;
  // Makes the point ready; the request that runs it. An error: the point cannot be tried, and is skipped.
  virtual Result<TrialRequest> ready(size_t point, TrialRequest request) = 0;
  // An error: what ran was not the point (another binary).
  virtual Status check(const TrialEnd&) const { return {}; }
};

class KernelSpace : public BisectSpace {
 public:
  static Result<std::unique_ptr<BisectSpace>> open(const BisectCommandOptions& options) {
    auto dir = kernel_cache_dir();
    if (!dir) return std::move(dir).error();
    const KernelCache cache(*dir);
    auto all = cache.list();
    if (!all) return std::move(all).error();
    auto space = std::make_unique<KernelSpace>();
    size_t ends[2] = {0, 0};
    for (size_t i = 0; i < 2; ++i) {
      const std::string& ref = i == 0 ? options.good : options.bad;
      auto found = cache.find(ref);
      if (!found) return std::move(found).error();
      if (!*found)
        return Error::not_found(std::string(i == 0 ? "--good " : "--bad ") + ref +
                                ": this kernel is not cached")
            .with_hint("ktstr-launch kernel list; kernel fetch " + ref);
      const auto at = std::find_if(all->begin(), all->end(),
                                   [&](const CachedKernel& k) { return k.release == (*found)->release; });
      ends[i] = static_cast<size_t>(at - all->begin());
    }
    if (ends[0] == ends[1])
      return Error::invalid("--good and --bad are the same kernel: " + (*all)[ends[0]].release);
    const size_t first = std::min(ends[0], ends[1]), last = std::max(ends[0], ends[1]);
    for (size_t i = first; i <= last; ++i) space->releases_.push_back((*all)[i].release);
    if (ends[0] > ends[1])
      std::reverse(space->releases_.begin(), space->releases_.end());  // the list has the newest first
    return std::unique_ptr<BisectSpace>(std::move(space));
  }

  size_t size() const override { return releases_.size(); }
  std::string name(size_t point) const override { return "kernel " + releases_[point]; }
  Result<TrialRequest> ready(size_t point, TrialRequest request) override {
    request.kernel = releases_[point];
    return request;
  }

 private:
  std::vector<std::string> releases_;
};

// Commits of the repository in which the spec lies, each checked out in a worktree of its own folder; there the spec's `build` runs.
// The spec is the one of the working copy, in the worktree at the same place.
class CommitSpace : public BisectSpace {
 public:
  static Result<std::unique_ptr<BisectSpace>> open(const BisectCommandOptions& options,
                                                   const std::string& folder) {
    auto space = std::make_unique<CommitSpace>();
    if (auto s = space->find_repository(options); !s) return std::move(s).error();
    if (auto s = space->list_commits(options); !s) return std::move(s).error();
    space->worktree_ = folder + "/worktree";
    if (auto added = space->git({"worktree", "add", "--detach", space->worktree_, space->commits_.back()});
        !added)
      return std::move(added).error();
    space->added_ = true;
    return std::unique_ptr<BisectSpace>(std::move(space));
  }
  ~CommitSpace() override {
    if (added_)
      if (auto removed = git({"worktree", "remove", "--force", worktree_}); !removed)
        tell("warning: " + removed.error().message());
  }

  size_t size() const override { return commits_.size(); }
  std::string name(size_t point) const override {
    auto words = git({"log", "-1", "--format=%h %ad %an: %s", "--date=short", commits_[point]});
    return "commit " + (words ? printable(*words) : commits_[point]);
  }

  Result<TrialRequest> ready(size_t point, TrialRequest request) override {
    if (auto out = git_in(worktree_, {"checkout", "--quiet", "--force", "--detach", commits_[point]}); !out)
      return std::move(out).error();
    request.specs.clear();
    for (const fs::path& spec : specs_) {
      const fs::path copy = fs::path(worktree_) / spec;
      std::error_code error;
      fs::create_directories(copy.parent_path(), error);
      fs::copy_file(fs::path(top_) / spec, copy, fs::copy_options::overwrite_existing, error);
      if (error) return Error::system("copy " + spec.string() + " into the worktree: " + error.message());
      request.specs.push_back(copy.string());
    }
    return request;
  }

  Status check(const TrialEnd& end) const override {
    if (end.scheduler.empty() || end.scheduler.starts_with(worktree_ + "/")) return {};
    return Error::invalid("the scheduler's binary is " + printable(end.scheduler) +
                          ", which no commit of the worktree makes: every commit would be tested with it")
        .with_hint("binary = a path relative to the spec, into which `build` puts it");
  }

 private:
  static constexpr std::chrono::milliseconds kGitLimit{120'000};

  static Result<std::string> git_in(const std::string& folder, std::vector<std::string> words) {
    std::vector<std::string> argv = {"git", "-C", folder};
    argv.insert(argv.end(), words.begin(), words.end());
    auto ran = run_captured({.argv = argv}, kGitLimit);
    const std::string what = "git " + words[0];
    if (!ran) return std::move(ran).error().within(what);
    std::string out(trim(ran->out));
    if (!ran->exit.clean())
      return Error::system(what + ": " + ran->exit.to_string() + (out.empty() ? "" : ": " + printable(out)));
    return out;
  }
  Result<std::string> git(std::vector<std::string> words) const { return git_in(top_, std::move(words)); }

  Status find_repository(const BisectCommandOptions& options) {
    bool builds = false;
    for (const std::string& spec : options.specs) {
      auto tests = load_tests_of(spec, {});
      if (!tests) return std::move(tests).error();
      for (const LoadedTest& test : *tests)
        builds = builds || (test.spec.scheduler && !test.spec.scheduler->build.empty());
      std::error_code error;
      const fs::path path = fs::canonical(spec, error);
      auto top = git_in(path.parent_path().string(), {"rev-parse", "--show-toplevel"});
      if (!top)
        return std::move(top)
            .error()
            .within(spec + ": not in a git repository")
            .with_hint(
                "bisect takes commits of the repository that holds the spec; --kernels: cached kernels");
      top_ = *top;
      specs_.push_back(path.lexically_relative(fs::canonical(top_, error)));
    }
    if (!builds)
      return Error::invalid(
                 "no scheduler of the spec has a `build`: every commit would be tested with the same binary")
          .with_hint("build = \"make\" in [scheduler.NAME]; it runs in the spec's folder of each commit");
    return {};
  }

  Result<std::string> commit_of(const std::string& option, const std::string& ref) const {
    if (ref.starts_with("-")) return Error::invalid(option + " " + ref + ": no commit");
    auto commit = git({"rev-parse", "--verify", "--quiet", "--end-of-options", ref + "^{commit}"});
    if (!commit) return Error::not_found(option + " " + printable(ref) + ": no commit of " + top_);
    return commit;
  }

  Status list_commits(const BisectCommandOptions& options) {
    auto good = commit_of("--good", options.good), bad = commit_of("--bad", options.bad);
    for (auto* end : {&good, &bad})
      if (!*end) return std::move(*end).error();
    if (!git({"merge-base", "--is-ancestor", *good, *bad}))
      return Error::invalid("--good " + options.good + " is no ancestor of --bad " + options.bad)
          .with_hint(
              "bisect looks for the commit that brought a failure, between an older good and a newer bad "
              "one");
    auto list = git({"rev-list", "--reverse", "--first-parent", *good + ".." + *bad});
    if (!list) return std::move(list).error();
    commits_ = {*good};
    for (size_t at = 0; at < list->size();) {
      const size_t end = std::min(list->find('\n', at), list->size());
      commits_.push_back(list->substr(at, end - at));
      at = end + 1;
    }
    if (commits_.size() < 2) return Error::invalid("--good and --bad are the same commit");
    return options.tags ? keep_tagged() : Status();
  }

  Status keep_tagged() {
    // Of an annotated tag the commit that it is about.
    auto list = git({"for-each-ref", "--format=%(objectname) %(*objectname)", "refs/tags"});
    if (!list) return std::move(list).error();
    const std::string first = commits_.front(), last = commits_.back();
    std::erase_if(commits_, [&](const std::string& c) {
      return c != first && c != last && list->find(c) == std::string::npos;
    });
    return {};
  }

  std::string top_, worktree_;
  std::vector<fs::path> specs_;       // relative to the top folder
  std::vector<std::string> commits_;  // full hashes
  bool added_ = false;
};

struct PointRecord {
  BisectAnswer answer = BisectAnswer::kSkip;
  std::string text, log;
};

class Bisect {
 public:
  Bisect(const BisectCommandOptions& options, std::string folder, BisectSpace& space)
      : options_(options),
        folder_(std::move(folder)),
        space_(space),
        trials_(program_folder() + "/ktstr-launch"),
        bisection_(space.size()),
        signature_(options.signature) {}

  int run() {
    tell(std::to_string(space_.size()) + " points, about " + std::to_string(bisection_.steps_left()) +
         " to try");
    while (const auto at = bisection_.next()) {
      auto record = try_point(*at);
      if (!record) return report_error(record.error(), kUsage);
      if (trials_.signal() != 0) return interrupted();
      static constexpr const char* kNames[] = {"good", "bad", "skipped"};
      tell(space_.name(*at) + ": " + kNames[static_cast<size_t>(record->answer)] + " (" + record->text + ")");
      bisection_.answer(record->answer);
      records_[*at] = std::move(*record);
    }
    return finish();
  }

 private:
  // Bad if one try shows the failure; good if all pass.
  Result<PointRecord> try_point(size_t point) {
    PointRecord record;
    auto request = space_.ready(point, {.specs = options_.specs,
                                        .filters = options_.filters,
                                        .scheduler_dirs = options_.scheduler_dirs,
                                        .kernel = options_.kernel,
                                        .seed = options_.seed,
                                        .strategy = options_.strategy});
    if (!request) {
      record.text = printable(request.error().message());
      return record;
    }
    bool all_pass = true;
    for (unsigned i = 0; i < std::max(options_.tries, 1u); ++i) {
      if (options_.seed) request->seed = *options_.seed + i;
      const std::string name = folder_ + "/" + std::to_string(++runs_);
      if (auto s = trials_.start(0, *request, name); !s) return std::move(s).error();
      const TrialEnd end = trials_.wait().end;
      if (trials_.signal() != 0) return record;
      if (end.exit_code == exit_code(ExitCode::kNoTests) || end.exit_code == exit_code(ExitCode::kFilter))
        return Error::invalid(end.words.starts_with("error: ") ? end.words.substr(7) : end.words);
      if (auto s = space_.check(end); !s) return std::move(s).error();
      const std::string failure = failure_of(end);
      if (signature_.empty()) signature_ = failure;  // the bad end comes first
      record.text = trial_text(end);
      record.log = end.log;
      if (!failure.empty() && failure == signature_) {
        record.answer = BisectAnswer::kBad;
        return record;
      }
      if (end.exit_code != 0) {
        all_pass = false;
        if (!failure.empty()) record.text += ", which is another failure";
      }
    }
    record.answer = all_pass ? BisectAnswer::kGood : BisectAnswer::kSkip;
    return record;
  }

  int finish() {
    const auto evidence = [&](size_t point) {
      const PointRecord& record = records_[point];
      return space_.name(point) + "\n  " + record.text +
             (record.log.empty() ? "" : "\n  log: " + record.log) + "\n";
    };
    const std::string out = bisection_.bad_end_is_not_bad()
                                ? "the bad end does not fail" +
                                      (options_.signature.empty() ? std::string() : " with that signature") +
                                      ": " + evidence(space_.size() - 1)
                            : bisection_.good_end_is_not_good() ? "the good end is not good: " + evidence(0)
                                                                : "";
    if (!out.empty()) {
      std::fputs(out.c_str(), stdout);
      return exit_code(ExitCode::kInconclusive);
    }
    const auto between = bisection_.between();
    std::printf("looked for: %s\n%s: %slast good: %s", printable(signature_).c_str(),
                between.empty() ? "first bad" : "bad", evidence(bisection_.bad()).c_str(),
                evidence(bisection_.good()).c_str());
    if (between.empty()) return 0;
    std::printf("the first bad one is that, or one of these, which were skipped:\n");
    for (size_t point : between) std::printf("%s", evidence(point).c_str());
    return exit_code(ExitCode::kInconclusive);
  }

  int interrupted() {
    if (bisection_.good() != 0 || bisection_.bad() + 1 != space_.size())
      std::printf("interrupted: the first bad one comes after %s; it is %s or one before that\n",
                  space_.name(bisection_.good()).c_str(), space_.name(bisection_.bad()).c_str());
    return signal_exit_code(trials_.signal());
  }

  const BisectCommandOptions& options_;
  std::string folder_;
  BisectSpace& space_;
  Trials trials_;
  Bisection bisection_;
  std::string signature_;
  std::map<size_t, PointRecord> records_;
  unsigned runs_ = 0;
};

}  // namespace

int bisect_command(const BisectCommandOptions& options) {
  if (auto known = determinism_for(1, options.strategy); !known) return report_error(known.error(), kUsage);
  auto folder = search_folder(options.out);
  if (!folder) return report_error(folder.error(), kInfra);
  auto space = options.kernels ? KernelSpace::open(options) : CommitSpace::open(options, *folder);
  if (!space) return report_error(space.error(), kUsage);
  return Bisect(options, *folder, **space).run();
}

}  // namespace ktstr
