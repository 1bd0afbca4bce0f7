#include "launcher/runner/runner.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/event_loop.h"
#include "base/text.h"
#include "launcher/runner/board.h"
#include "launcher/runner/report_output.h"
#include "launcher/runner/skipped_test.h"
#include "launcher/runner/test_process.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr uint64_t kRedraw = kSecond;

size_t terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 100;
}

const char* end_word(ExitCode code) { return code == ExitCode::kTestFailed ? "FAILED" : "NO VERDICT"; }

class Runner {
 public:
  Runner(const RunnerRequest& request, RunEnvironment& env)
      : request_(request),
        env_(env),
        schedule_(runnable(request), request.schedule),
        reports_(request.workflow_groups),
        board_(stderr, {.terminal = ::isatty(STDERR_FILENO) == 1,
                        .quiet = request.quiet,
                        .columns = terminal_columns()}) {}

  RunnerResult run() {
    tell_skipped();
    if (request_.schedule.jobs > 1)
      run_side_by_side();
    else
      run_one_by_one();
    out_.not_run = schedule_.not_run();
    return std::move(out_);
  }

 private:
  struct Live {
    TestRunId id;
    std::unique_ptr<TestProcess> process;
    uint64_t start_ns = 0;
    bool told_slow = false;
  };

  static std::vector<size_t> runnable(const RunnerRequest& request) {
    std::vector<size_t> out;
    for (size_t i : request.order)
      if (request.plan->tests[i].skip.empty()) out.push_back(i);
    return out;
  }
  const PlannedTest& planned(const TestRunId& id) const { return request_.plan->tests[id.test]; }
  const TestSpecT& spec(const TestRunId& id) const { return planned(id).test.spec; }
  uint64_t now() const { return env_.clock->monotonic_ns(); }
  uint64_t slow_after(const TestSpecT& spec) const { return spec.duration_ns + request_.slow_ns; }

  void say(const std::string& text) {
    if (request_.schedule.jobs > 1)
      board_.say(text);
    else
      env_.progress->say(text);
  }

  std::string shown(const TestRunId& id) const {
    return request_.schedule.rounds > 1 ? fmt::format("{} (round {})", spec(id).name, id.round)
                                        : spec(id).name;
  }

  void set_environment(const TestRunId& id) {
    env_.kernel = request_.plan->kernels[planned(id).kernel];
    env_.place = {.round = id.round,
                  .rounds = request_.schedule.rounds,
                  .try_number = id.try_number,
                  .tries = request_.schedule.retries + 1};
  }

  void tell_skipped() {
    for (size_t i : request_.order) {
      const PlannedTest& test = request_.plan->tests[i];
      if (test.skip.empty()) continue;
      if (request_.no_skips) out_.code = merge_exit_codes(out_.code, ExitCode::kTestFailed);
      set_environment({.test = i});
      auto log = record_skipped_test(test.test.spec, test.skip, env_);
      if (log)
        out_.logs.push_back(*log);
      else
        say(test.test.spec.name + ": " + log.error().message());
      out_.ended.push_back({.name = test.test.spec.name, .skip = test.skip});
    }
  }

  void run_one_by_one() {
    while (auto id = schedule_.next()) {
      set_environment(*id);
      reports_.begin(shown(*id));
      const uint64_t start = now();
      auto result = run_test(spec(*id), env_);
      reports_.end();
      ended(*id, std::move(result), now() - start);
    }
  }

  // The run of a round has ended, with whatever result.
  void ended(const TestRunId& id, Result<RunOutcome> result, uint64_t duration_ns) {
    TestTry one{.result = {}, .duration_ns = duration_ns};
    if (result) {
      one.result = std::move(result).value();
    } else {
      one.result.summary = result.error().message();
      say("error: " + spec(id).name + ": " + result.error().to_string());
    }
    const ExitCode code = one.result.code;
    if (!one.result.log.empty()) out_.logs.push_back(one.result.log);
    std::vector<TestTry>& tries = tries_[{id.test, id.round}];
    const std::string summary = one.result.summary;
    tries.push_back(std::move(one));
    if (code == ExitCode::kInterrupted || code == ExitCode::kTerminated) schedule_.stop();
    if (schedule_.ended(id, code)) {
      say(fmt::format("TRY {} {} {}: {}; it is tried again (at most {} more)", id.try_number, end_word(code),
                      shown(id), summary, request_.schedule.retries + 1 - id.try_number));
      return;
    }
    if (id.try_number > 1)
      say(fmt::format("TRY {} {} {}{}", id.try_number, code == ExitCode::kPass ? "PASSED" : end_word(code),
                      shown(id), code == ExitCode::kPass ? ": flaky" : ": " + summary));
    EndedTest test{.name = spec(id).name, .tries = std::move(tries), .round = id.round};
    tries_.erase({id.test, id.round});
    for (const TestTry& t : test.tries) test.slow = test.slow || t.duration_ns > slow_after(spec(id));
    out_.code = merge_exit_codes(out_.code, code);
    out_.ended.push_back(std::move(test));
  }

  // --- side by side ---

  void run_side_by_side() {
    loop_.watch(env_.signal_fd, EPOLLIN, [this](uint32_t) { pass_on_signals(); });
    loop_.every(kRedraw, [this] {
      tell_slow();
      board_.tick(now());
    });
    loop_.run_until(
        [this] {
          start_more();
          return live_.empty();
        },
        UINT64_MAX);
    loop_.unwatch(env_.signal_fd);
    board_.take_down();
  }

  void start_more() {
    while (auto id = schedule_.next()) {
      set_environment(*id);
      auto process = TestProcess::start(spec(*id), env_);
      if (!process) {
        ended(*id, std::move(process).error(), 0);
        continue;
      }
      const size_t key = ++last_key_;
      const int words = (*process)->words_fd(), errors = (*process)->stderr_fd(), pidfd = (*process)->pidfd();
      live_.emplace(key, Live{.id = *id, .process = std::move(*process), .start_ns = now()});
      loop_.watch(words, EPOLLIN,
                  [this, key](uint32_t) { hear(key, &TestProcess::read_words, &TestProcess::words_fd); });
      loop_.watch(errors, EPOLLIN,
                  [this, key](uint32_t) { hear(key, &TestProcess::read_stderr, &TestProcess::stderr_fd); });
      loop_.watch(pidfd, EPOLLIN, [this, key](uint32_t) { at_end(key); });
    }
  }

  TestProcess::Listener listener(size_t key) {
    return {
        .step = [this, key](const std::string& text) { board_.step(key, text, now()); },
        .say = [this, key](const std::string& text) { board_.say(shown(live_.at(key).id) + ": " + text); },
        .stderr_line = [this,
                        key](const std::string& text) { board_.say(shown(live_.at(key).id) + ": " + text); }};
  }

  void hear(size_t key, bool (TestProcess::*read)(const TestProcess::Listener&),
            int (TestProcess::*fd)() const) {
    auto at = live_.find(key);
    if (at == live_.end()) return;
    TestProcess& process = *at->second.process;
    if (!(process.*read)(listener(key))) loop_.unwatch((process.*fd)());
  }

  void at_end(size_t key) {
    auto at = live_.find(key);
    if (at == live_.end()) return;
    TestProcess& process = *at->second.process;
    for (int fd : {process.words_fd(), process.stderr_fd(), process.pidfd()}) loop_.unwatch(fd);
    // All that it said is in the pipes now; a process that it left behind may hold them open. What more there is than this is a
    // flood.
    const auto words = listener(key);
    for (int i = 0; i < 64 && process.read_words(words); ++i) continue;
    for (int i = 0; i < 64 && process.read_stderr(words); ++i) continue;
    auto result = process.reap();
    const Live live = std::move(at->second);
    live_.erase(at);
    board_.remove(key);
    if (result && !result->report.empty() && ::access(result->report.c_str(), F_OK) == 0)
      reports_.print(shown(live.id), result->report);
    ended(live.id, std::move(result), now() - live.start_ns);
    board_.tick(now());
  }

  void pass_on_signals() {
    signalfd_siginfo info;
    while (::read(env_.signal_fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      const int signo = static_cast<int>(info.ssi_signo);
      if (!interrupted_) say("interrupted: ending the VMs; the reports hold what was seen so far");
      interrupted_ = true;
      schedule_.stop();
      for (const auto& [key, live] : live_) live.process->signal(signo);
      out_.code =
          merge_exit_codes(out_.code, signo == SIGINT ? ExitCode::kInterrupted : ExitCode::kTerminated);
    }
  }

  void tell_slow() {
    for (auto& [key, live] : live_) {
      if (live.told_slow || request_.quiet || now() - live.start_ns <= slow_after(spec(live.id))) continue;
      live.told_slow = true;
      board_.say(fmt::format("SLOW {}: it runs for more than {}", shown(live.id),
                             human_ns(slow_after(spec(live.id)))));
    }
  }

  const RunnerRequest& request_;
  RunEnvironment& env_;
  Schedule schedule_;
  ReportOutput reports_;
  RunBoard board_;
  EventLoop loop_;
  RunnerResult out_;
  std::map<std::pair<size_t, uint32_t>, std::vector<TestTry>> tries_;  // of rounds that go on
  std::map<size_t, Live> live_;
  size_t last_key_ = 0;
  bool interrupted_ = false;
};

}  // namespace

RunnerResult run_tests(const RunnerRequest& request, RunEnvironment& environment) {
  return Runner(request, environment).run();
}

}  // namespace ktstr
