#include "launcher/runner/test_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/small_files.h"
#include "base/text.h"

namespace ktstr {
namespace {

constexpr int kWordsFd = 3;
constexpr size_t kMostBytesATurn = 1 << 18;

// What the test's process has to say, written whole or not at all.
void tell(const Json& word) { (void)write_all(kWordsFd, json_text(word) + "\n", "tell the launcher"); }

class PipedProgress : public Progress {
 public:
  void step(const std::string& text) override { tell({{"step", printable(text)}}); }
  void say(const std::string& text) override { tell({{"say", printable(text)}}); }
  void clear() override {}
};

Json to_json(const RunOutcome& o) {
  return {{"code", exit_code(o.code)},
          {"outcome", static_cast<unsigned>(o.outcome)},
          {"log", o.log},
          {"report", o.report},
          {"summary", o.summary},
          {"rerun", o.rerun},
          {"signature", o.signature}};
}

Result<RunOutcome> outcome_of(const Json& json) {
  const auto text = [&](const char* key) {
    auto it = json.find(key);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  if (json.contains("error")) return Error::system(text("error"));
  RunOutcome o;
  if (!json.contains("code") || !json["code"].is_number_integer() || !json.contains("outcome") ||
      !json["outcome"].is_number_unsigned())
    return Error::system("the test's process told no outcome");
  o.code = static_cast<ExitCode>(json["code"].get<int>());
  o.outcome = static_cast<Outcome>(json["outcome"].get<unsigned>());
  o.log = text("log");
  o.report = text("report");
  o.summary = text("summary");
  o.rerun = text("rerun");
  o.signature = text("signature");
  return o;
}

// The child's side: from the fork to its end.
[[noreturn]] void live(const TestSpecT& spec, RunEnvironment& environment, int words, int errors,
                       pid_t parent) {
  ::setsid();  // a Ctrl-C at the terminal comes from the launcher alone
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) ::_exit(127);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  // The pipes may stand on the numbers that they are to have: to high ones first.
  const int w = ::fcntl(words, F_DUPFD_CLOEXEC, 16), e = ::fcntl(errors, F_DUPFD_CLOEXEC, 16);
  if (null < 0 || w < 0 || e < 0 || ::dup2(null, 0) < 0 || ::dup2(null, 1) < 0 || ::dup2(e, 2) < 0 ||
      ::dup3(w, kWordsFd, O_CLOEXEC) < 0)
    ::_exit(127);
  ::syscall(SYS_close_range, static_cast<unsigned>(kWordsFd + 1), ~0u, 0u);
  PipedProgress progress;
  environment.progress = &progress;
  sigset_t mask;
  sigemptyset(&mask);
  for (int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&mask, s);
  environment.signal_fd = ::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  auto result = run_test(spec, environment);
  tell({{"end", result ? to_json(*result) : Json{{"error", result.error().to_string()}}}});
  ::_exit(0);  // what the launcher holds is not ours to take down
}

struct Pipe {
  UniqueFd read_end, write_end;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno("start a test: pipe");
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  ::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

}  // namespace

Result<std::unique_ptr<TestProcess>> TestProcess::start(const TestSpecT& spec, RunEnvironment& environment) {
  auto words = make_pipe();
  if (!words) return std::move(words).error();
  auto errors = make_pipe();
  if (!errors) return std::move(errors).error();
  const pid_t parent = ::getpid();
  std::fflush(nullptr);  // the child must not print again what is in a buffer
  const pid_t pid = ::fork();
  if (pid < 0) return Error::from_errno("start a test: fork");
  if (pid == 0) live(spec, environment, words->write_end.get(), errors->write_end.get(), parent);
  std::unique_ptr<TestProcess> process(new TestProcess);
  process->pid_ = pid;
  process->words_ = std::move(words->read_end);
  process->errors_ = std::move(errors->read_end);
  process->pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process->pidfd_) return Error::from_errno("start a test: pidfd_open");
  return process;
}

TestProcess::~TestProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void TestProcess::signal(int signo) const {
  if (pid_ > 0) ::kill(pid_, signo);
}

namespace {

// Reads what is there, a bounded part of it. False at the end of the stream.
template <typename OnLine>
bool take(int fd, LineSplitter& lines, OnLine on_line) {
  char chunk[16384];
  for (size_t taken = 0; taken < kMostBytesATurn;) {
    const ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) {
      lines.flush(on_line);
      return false;
    }
    taken += static_cast<size_t>(n);
    lines.feed(std::string_view(chunk, static_cast<size_t>(n)), on_line);
  }
  return true;
}

}  // namespace

void TestProcess::on_word(std::string_view line, const Listener& listener) {
  const Json word = parse_json(line);
  if (!word.is_object()) return;
  if (auto it = word.find("step"); it != word.end() && it->is_string())
    listener.step(it->get<std::string>());
  else if (it = word.find("say"); it != word.end() && it->is_string())
    listener.say(it->get<std::string>());
  else if (it = word.find("end"); it != word.end() && it->is_object())
    told_.emplace(outcome_of(*it));
}

bool TestProcess::read_words(const Listener& listener) {
  return take(words_.get(), word_lines_, [&](std::string_view line, bool) { on_word(line, listener); });
}

bool TestProcess::read_stderr(const Listener& listener) {
  return take(errors_.get(), error_lines_,
              [&](std::string_view line, bool) { listener.stderr_line(std::string(line)); });
}

Result<RunOutcome> TestProcess::reap() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
  if (told_) return std::move(*told_);
  if (WIFSIGNALED(status))
    return Error::system("the test's process was killed by signal " + std::to_string(WTERMSIG(status)));
  return Error::system("the test's process ended without a word, exit code " +
                       std::to_string(WEXITSTATUS(status)));
}

}  // namespace ktstr
