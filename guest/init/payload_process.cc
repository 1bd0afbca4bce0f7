#include "guest/init/payload_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/exec_report.h"
#include "guest/init/output_pipe.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"
#include "workload/cgroups.h"

namespace ktstr::guest {
namespace {

constexpr uint64_t kLinesPerSecond = 5'000;
constexpr int kCheckFd = 3;  // of the child

struct ChildSetup {
  std::vector<char*> argv, envp;
  int out = -1, err = -1, check = -1, report = -1;
};

// `report` gets errno when exec fails; it closes on success.
[[noreturn]] void child_main(const ChildSetup& setup) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setsid();
  (void)!::chdir("/root");
  int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(null, 0);
  ::dup2(setup.out, 1);
  ::dup2(setup.err, 2);
  // dup2 onto 3 may hit a descriptor that is still needed: the report moves out of the way.
  const int report = ::fcntl(setup.report, F_DUPFD_CLOEXEC, 10);
  const int check = ::fcntl(setup.check, F_DUPFD_CLOEXEC, 10);
  ::dup2(check, kCheckFd);
  ::execve(setup.argv[0], setup.argv.data(), setup.envp.data());
  const int error = errno;
  ::signal(SIGPIPE, SIG_IGN);  // nobody waits for the report any more: then the line and the code tell
  ::dprintf(2, "%s: %s\n", setup.argv[0], std::strerror(error));
  (void)!::write(report, &error, sizeof error);
  ::_exit(127);
}

}  // namespace

std::vector<std::string> payload_environment(const TestSpecT& spec, const std::string& payload) {
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
          "HOME=/root",
          "TERM=dumb",
          "LANG=C.UTF-8",
          "KTSTR_TEST=" + spec.name,
          "KTSTR_PAYLOAD=" + payload,
          "KTSTR_DURATION_NS=" + std::to_string(spec.duration_ns),
          "KTSTR_CGROUP_ROOT=/sys/fs/cgroup"};
}

PayloadProcess::PayloadProcess(EventLoop& loop, EventChannel& channel, const PayloadSpecT& spec)
    : channel_(channel),
      spec_(spec),
      out_(
          loop, [this](auto text, bool cut, uint64_t ns) { line(OutputStream::Stdout, text, cut, ns); },
          kLinesPerSecond),
      err_(
          loop, [this](auto text, bool cut, uint64_t ns) { line(OutputStream::Stderr, text, cut, ns); },
          kLinesPerSecond),
      checks_(loop, channel) {}

void PayloadProcess::line(OutputStream stream, std::string_view text, bool truncated, uint64_t guest_ns) {
  PayloadLineT fact;
  fact.name = spec_.name;
  fact.stream = stream;
  fact.text = text;
  fact.truncated = truncated;
  channel_.send(std::move(fact), guest_ns);
}

Status PayloadProcess::start(int folder, const TestSpecT& test) {
  auto out = make_output_pipe();
  auto err = make_output_pipe();
  int check[2], report[2];
  if (!out || !err || ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, check) != 0)
    return Error::from_errno("pipes of a payload");
  UniqueFd check_ours(check[0]), check_theirs(check[1]);
  if (::pipe2(report, O_CLOEXEC) != 0) return Error::from_errno("pipes of a payload");
  UniqueFd report_ours(report[0]), report_theirs(report[1]);
  ::fcntl(check_ours.get(), F_SETFL, O_NONBLOCK);

  PayloadStartedT fact;
  fact.name = spec_.name;
  fact.argv = {spec_.guest_path};
  fact.argv.insert(fact.argv.end(), spec_.args.begin(), spec_.args.end());
  std::vector<std::string> env = payload_environment(test, spec_.name);
  env.push_back("KTSTR_CHECK_FD=" + std::to_string(kCheckFd));
  ChildSetup setup;
  for (auto& word : fact.argv) setup.argv.push_back(word.data());
  for (auto& word : env) setup.envp.push_back(word.data());
  setup.argv.push_back(nullptr);
  setup.envp.push_back(nullptr);
  setup.out = out->write.get();
  setup.err = err->write.get();
  setup.check = check_theirs.get();
  setup.report = report_theirs.get();
  const pid_t pid = fork_into(folder);
  if (pid == 0) child_main(setup);
  if (pid < 0) return Error::from_errno("fork payload " + spec_.name);
  report_theirs.reset();
  check_theirs.reset();
  out->write.reset();
  err->write.reset();
  if (const int error = exec_error(report_ours.get())) {
    auto failure = Error::from_errno("start " + spec_.guest_path, error);
    if (error != ENOENT || ::access(spec_.guest_path.c_str(), F_OK) != 0) return failure;
    return std::move(failure).within("the file is there, its ELF loader or interpreter is not");
  }
  pid_ = pid;
  started_ns_ = now_ns();
  fact.pid = static_cast<uint32_t>(pid);
  channel_.send(std::move(fact), started_ns_);
  out_.start(std::move(out->read));
  err_.start(std::move(err->read));
  checks_.start(std::move(check_ours));
  return {};
}

void PayloadProcess::ask_to_stop(int signo) {
  if (!running()) return;
  stopped_ = stopped_ || !timed_out_;
  ::kill(-pid_, signo);  // with all that it started: it leads a session
}

void PayloadProcess::time_out() {
  if (!running()) return;
  timed_out_ = true;
  ::kill(-pid_, SIGKILL);
}

void PayloadProcess::on_end(int wait_status) {
  status_ = wait_status;
  ended_ns_ = now_ns();
}

bool PayloadProcess::dumped_core() const { return status_ && WCOREDUMP(*status_); }

void PayloadProcess::finish(std::vector<std::string> core_frames) {
  told_ = true;
  ::kill(-pid_, SIGKILL);  // what it left behind in its session
  out_.drain(true);
  err_.drain(true);
  checks_.drain(true);
  PayloadExitedT fact;
  fact.name = spec_.name;
  fact.pid = static_cast<uint32_t>(pid_);
  fact.exit_code = WIFEXITED(*status_) ? WEXITSTATUS(*status_) : 0;
  fact.signal = WIFSIGNALED(*status_) ? WTERMSIG(*status_) : 0;
  fact.duration_ns = ended_ns_ - started_ns_;
  // What was asked of it is an end, not a crash on the way.
  fact.stopped = stopped_ && (fact.signal == 0 || ends_as_asked(fact.signal));
  fact.timed_out = timed_out_;
  fact.core_frames = std::move(core_frames);
  channel_.send(std::move(fact), ended_ns_);
}

}  // namespace ktstr::guest
