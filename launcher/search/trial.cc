#include "launcher/search/trial.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "base/small_files.h"
#include "base/text.h"
#include "schemas/event_generated.h"
#include "schemas/exit_code.h"
#include "schemas/log_reader.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/crash_signature.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr int kEnding[] = {SIGINT, SIGTERM, SIGHUP};
constexpr uint64_t kGraceNs = 15'000'000'000;  // of a run that was interrupted: its report takes some seconds
constexpr size_t kMostWords = 1 << 20;

sigset_t caught_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int s : kEnding) sigaddset(&mask, s);
  return mask;
}

// The first error, or the last line: what the run said in short.
std::string words_of(const std::string& path) {
  auto text = read_binary(path, kMostWords);
  if (!text) return "";
  std::string last;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size());
    const std::string line(trim(std::string_view(*text).substr(at, end - at)));
    if (line.starts_with("error: ")) return line;
    if (!line.empty()) last = line;
    at = end + 1;
  }
  return last;
}

TrialEnd read_end(const std::string& folder, const ChildExit& exit) {
  TrialEnd end;
  size_t logs = 0;
  std::error_code error;
  for (const auto& test : fs::directory_iterator(folder, error)) {
    const std::string log = test.path().string() + "/events.ktlog";
    if (!path_exists(log)) continue;
    if (end.log.empty() || end.exit_code == 0) end = read_trial_log(log);
    ++logs;
  }
  end.logs = logs;
  end.exit_code = exit.signal != 0 ? exit_code(ExitCode::kInfrastructure) : exit.exit_code;
  end.words = words_of(folder + ".txt");
  return end;
}

}  // namespace

std::vector<std::string> trial_command(const TrialRequest& request) {
  std::vector<std::string> argv = {"ktstr-launch", "run"};
  auto add = [&](const char* option, const std::string& value) { argv.insert(argv.end(), {option, value}); };
  argv.insert(argv.end(), request.specs.begin(), request.specs.end());
  for (const auto& filter : request.filters) add("-E", filter);
  for (const auto& folder : request.scheduler_dirs) add("--scheduler-dir", folder);
  if (!request.kernel.empty()) add("--kernel", request.kernel);
  if (request.seed) {
    argv.push_back("--deterministic");
    add("--seed", std::to_string(*request.seed));
    if (request.strategy != "random") add("--strategy", request.strategy);
    if (!request.drop.empty()) add("--drop", request.drop);
  }
  argv.insert(argv.end(), request.options.begin(), request.options.end());
  return argv;
}

TrialEnd read_trial_log(const std::string& log) {
  TrialEnd end;
  end.exit_code = exit_code(ExitCode::kInfrastructure);
  auto reader = LogReader::open(log);
  if (!reader) return end;
  end.log = log;
  while (true) {
    auto event = reader->next();
    if (!event || !*event) return end;
    if (auto* started = (*event)->as<RunStarted>(); started && started->spec()->scheduler())
      end.scheduler = str(started->spec()->scheduler()->host_path());
    auto* verdict = (*event)->as<Verdict>();
    if (!verdict) continue;
    end.exit_code = verdict->exit_code();
    end.summary = str(verdict->summary());
    end.signature = str(verdict->signature());
  }
}

std::string failure_of(const TrialEnd& end) {
  if (end.exit_code != exit_code(ExitCode::kTestFailed)) return "";
  if (!end.signature.empty()) return end.signature;
  const std::string summary = normalize_crash_message(end.summary);
  return summary.empty() ? "a failure without a summary" : summary;
}

std::string trial_text(const TrialEnd& end) {
  if (end.exit_code == 0) return "passed";
  if (const std::string failure = failure_of(end); !failure.empty()) return "fails: " + printable(failure);
  const std::string& why = end.summary.empty() ? end.words : end.summary;
  return "no verdict (exit code " + std::to_string(end.exit_code) + ")" +
         (why.empty() ? "" : ": " + printable(why));
}

Trials::Trials(std::string launcher) : launcher_(std::move(launcher)) {
  const sigset_t mask = caught_signals();
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  signals_ = UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

Trials::~Trials() {
  const sigset_t mask = caught_signals();
  ::sigprocmask(SIG_UNBLOCK, &mask, nullptr);
}

bool Trials::out_of_time() const { return now_ns() >= end_ns_; }

Status Trials::start(size_t id, const TrialRequest& request, const std::string& folder) {
  std::vector<std::string> argv = trial_command(request);
  argv[0] = launcher_;
  argv.insert(argv.end(), {"--out", folder, "--quiet"});
  const std::string words = folder + ".txt";
  UniqueFd out(::open(words.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!out) return Error::from_errno("open " + words);
  auto child = Child::spawn({.argv = argv, .stdout_fd = out.get(), .stderr_fd = out.get()});
  if (!child) return std::move(child).error();
  jobs_.push_back({id, folder, std::move(child).value()});
  return {};
}

Trials::Ended Trials::wait() {
  while (true) {
    take_signals();
    if (out_of_time()) end_jobs();
    for (size_t i = 0; i < jobs_.size(); ++i) {
      auto exit = jobs_[i].child.poll();
      if (!exit) continue;
      Ended ended{jobs_[i].id, read_end(jobs_[i].folder, *exit)};
      jobs_.erase(jobs_.begin() + static_cast<std::ptrdiff_t>(i));
      return ended;
    }
    std::vector<pollfd> fds = {{signals_.get(), POLLIN, 0}};
    for (const Job& job : jobs_) fds.push_back({job.child.pidfd(), POLLIN, 0});
    const uint64_t now = now_ns(), next = kill_ns_ != UINT64_MAX ? kill_ns_ : end_ns_;
    const uint64_t ms = next > now ? (next - now) / 1'000'000 + 1 : 0;
    ::poll(fds.data(), fds.size(),
           next == UINT64_MAX ? -1 : static_cast<int>(std::min<uint64_t>(ms, 60'000)));
    if (now_ns() >= kill_ns_)
      for (Job& job : jobs_) job.child.signal(SIGKILL);
  }
}

void Trials::take_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (signal_ != 0) kill_ns_ = now_ns();
    signal_ = static_cast<int>(info.ssi_signo);
    end_jobs();
  }
}

void Trials::end_jobs() {
  if (kill_ns_ != UINT64_MAX) return;
  kill_ns_ = now_ns() + kGraceNs;
  for (Job& job : jobs_) job.child.signal(SIGINT);
}

}  // namespace ktstr
