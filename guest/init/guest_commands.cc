#include "guest/init/guest_commands.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/clock.h"
#include "base/exec_report.h"
#include "base/small_files.h"
#include "guest/init/handover.h"
#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/guest_paths.h"
#include "schemas/limits.h"
#include "schemas/run_generated.h"

namespace ktstr::guest {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxArguments = 1024;
constexpr uint64_t kFetchPeriod = 5 * kMs;
constexpr size_t kFetchQueue = 1u << 20;  // bytes that wait in the channel

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return Error::from_errno("pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace

GuestCommands::GuestCommands(EventLoop& loop, EventChannel& channel, std::string root)
    : loop_(loop), channel_(channel), root_(std::move(root)) {}

GuestCommands::~GuestCommands() {
  if (fetch_timer_ >= 0) loop_.cancel(fetch_timer_);
  for (auto& [pid, command] : commands_)
    for (Output& output : command->outputs) close_output(output);
}

void GuestCommands::on_event(const EventBuffer& event) {
  if (auto* piece = event.as<FileEmbedded>()) {
    if (auto written = write_piece(*piece); !written && file_error_.empty())
      file_error_ = written.error().message();
  } else if (auto* request = event.as<GuestCommandRequested>()) {
    start(*request);
  }
}

// A program's own file is written anew; a library that is there already stays: the scheduler may have it
// mapped.
Status GuestCommands::write_piece(const FileEmbedded& piece) {
  const std::string path(str(piece.guest_path()));
  if (!is_plain_path(path)) return Error::invalid("\"" + path + "\" is no path for a file in the guest");
  if (piece.offset() == 0)
    kept_[path] = !path.starts_with(kGuestCommands) && ::access((root_ + path).c_str(), F_OK) == 0;
  if (kept_[path]) return {};
  const size_t size = piece.data() ? piece.data()->size() : 0;
  bytes_ += size;
  if (bytes_ > kMaxBytes)
    return Error::exhausted("the files of commands are more than " + std::to_string(kMaxBytes >> 20) +
                            " MiB");
  const std::string full = root_ + path;
  if (piece.offset() == 0) {
    std::error_code ec;
    fs::create_directories(fs::path(full).parent_path(), ec);
    ::unlink(full.c_str());  // one that runs stays as it is
  }
  UniqueFd fd(::open(full.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0755));
  if (!fd) return Error::from_errno(path);
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::pwrite(fd.get(), piece.data()->data() + done, size - done,
                               static_cast<off_t>(piece.offset() + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error::from_errno(path);
    done += static_cast<size_t>(n);
  }
  return {};
}

// A request without a program: the one of this name that runs is asked to end, then made to.
bool GuestCommands::ask_to_end(const std::string& name) {
  for (auto& [pid, command] : commands_) {
    if (command->name != name) continue;
    ::kill(-pid, command->asked ? SIGKILL : SIGTERM);
    command->asked = true;
    return true;
  }
  return false;
}

void GuestCommands::start(const GuestCommandRequested& request) {
  const std::string name(str(request.name()));
  std::vector<std::string> fetch;
  if (request.fetch())
    for (const auto* path : *request.fetch())
      if (fetch.size() < kMaxFetched) fetch.emplace_back(str(path));
  const bool without_command = !request.argv() || request.argv()->size() == 0;
  if (without_command && !fetch.empty()) return tell_exit(name, ::getpid(), 0, {}, std::move(fetch));
  if (without_command && ask_to_end(name)) return;
  std::string error = std::exchange(file_error_, {});
  std::vector<std::string> argv;
  if (request.argv())
    for (const auto* argument : *request.argv())
      if (argv.size() < kMaxArguments) argv.emplace_back(str(argument));
  if (error.empty() && argv.empty()) error = "no command is given";
  if (error.empty() && commands_.size() >= kMaxCommands)
    error = std::to_string(kMaxCommands) + " commands run in the guest already";
  if (error.empty()) {
    auto command = std::make_unique<Command>();
    command->name = name;
    command->fetch = std::move(fetch);
    auto pid = spawn(argv, *command);
    if (pid) {
      Command& running = *command;
      commands_[*pid] = std::move(command);
      for (size_t which : {0, 1})
        loop_.watch(running.outputs[which].fd.get(), EPOLLIN,
                    [this, &running, which](uint32_t) { read_output(running, which); });
      return;
    }
    error = pid.error().message();
  }
  tell_exit(name, 0, 0, std::move(error));
}

Result<pid_t> GuestCommands::spawn(const std::vector<std::string>& argv, Command& command) {
  auto out = make_pipe(), err = make_pipe(), report = make_pipe();
  for (auto* pipe : {&out, &err, &report})
    if (!*pipe) return std::move(*pipe).error();
  std::vector<char*> raw;
  for (const std::string& argument : argv) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  const std::string program = argv[0].find('/') == std::string::npos ? argv[0] : root_ + argv[0];
  const pid_t pid = ::fork();
  if (pid < 0) return Error::from_errno("fork");
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setsid();
    const int null = ::open("/dev/null", O_RDONLY);
    ::dup2(null, 0);
    ::dup2(out->write.get(), 1);
    ::dup2(err->write.get(), 2);
    const char* env[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/ktstr", "HOME=/", "TERM=dumb",
                         nullptr};
    ::execvpe(program.c_str(), raw.data(), const_cast<char**>(env));
    const int error = errno;
    ::signal(SIGPIPE, SIG_IGN);
    ::dprintf(2, "%s: %s\n", program.c_str(), std::strerror(error));
    (void)!::write(report->write.get(), &error, sizeof error);
    ::_exit(127);
  }
  out->write.reset();
  err->write.reset();
  report->write.reset();
  if (const int error = exec_error(report->read.get()))
    return Error::from_errno("start " + argv[0] + " in the guest", error);
  for (auto* pipe : {&out, &err}) ::fcntl((*pipe)->read.get(), F_SETFL, O_NONBLOCK);
  command.outputs[0].fd = std::move(out->read);
  command.outputs[1].fd = std::move(err->read);
  return pid;
}

// False: nothing there now, or the stream has ended.
bool GuestCommands::read_output(Command& command, size_t which) {
  Output& output = command.outputs[which];
  char buffer[16 * 1024];
  const ssize_t n = output.fd ? ::read(output.fd.get(), buffer, sizeof buffer) : 0;
  if (n < 0) return false;
  if (n == 0) {
    close_output(output);
    return false;
  }
  output.lines.feed(std::string_view(buffer, static_cast<size_t>(n)),
                    [&](std::string_view text, bool truncated) { on_line(command, which, text, truncated); });
  return true;
}

void GuestCommands::on_line(Command& command, size_t which, std::string_view text, bool truncated) {
  const uint64_t now = now_ns();
  if (now / kSecond != command.second) {
    command.second = now / kSecond;
    command.lines_this_second = 0;
  }
  if (++command.lines_this_second > kLinesPerSecond) {
    ++command.dropped;
    return;
  }
  CollectorLineT fact;
  fact.name = command.name;
  fact.text = text;
  fact.stream = which == 0 ? OutputStream::Stdout : OutputStream::Stderr;
  fact.truncated = truncated;
  channel_.send(std::move(fact), now);
}

void GuestCommands::close_output(Output& output) {
  if (!output.fd) return;
  loop_.unwatch(output.fd.get());
  output.fd.reset();
}

bool GuestCommands::on_end(pid_t pid, int status) {
  auto found = commands_.find(pid);
  if (found == commands_.end()) return false;
  Command& command = *found->second;
  for (size_t which : {0, 1}) {
    // What it wrote before its end; a child of it that lives on is not waited for.
    for (int i = 0; i < 64 && read_output(command, which); ++i) {
    }
    command.outputs[which].lines.flush(
        [&](std::string_view text, bool cut) { on_line(command, which, text, cut); });
    close_output(command.outputs[which]);
  }
  std::string error;
  if (command.dropped != 0) error = std::to_string(command.dropped) + " lines above the rate were dropped";
  tell_exit(command.name, pid, status, std::move(error), std::move(command.fetch));
  commands_.erase(found);
  return true;
}

void GuestCommands::tell_exit(const std::string& name, pid_t pid, int status, std::string error,
                              std::vector<std::string> fetch) {
  GuestCommandExitedT fact;
  fact.name = name;
  fact.pid = static_cast<uint32_t>(pid);
  fact.exit_code = pid == 0 ? 127 : WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  fact.signal = pid != 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  fact.error = std::move(error);
  if (fetch.empty()) return channel_.send(std::move(fact));
  std::reverse(fetch.begin(), fetch.end());
  Fetch next;
  next.end = std::move(fact);
  next.paths = std::move(fetch);
  fetches_.push_back(std::move(next));
  if (fetch_timer_ < 0) fetch_timer_ = loop_.every(kFetchPeriod, [this] { send_files(); });
}

// Some pieces at a time, as fast as the host takes them: PID 1 has other things to do.
void GuestCommands::send_files() {
  while (!fetches_.empty() && channel_.queued() < kFetchQueue) {
    if (send_piece(fetches_.front())) continue;
    channel_.send(std::move(fetches_.front().end));
    fetches_.pop_front();
  }
  if (fetches_.empty()) loop_.cancel(std::exchange(fetch_timer_, -1));
}

Status GuestCommands::open_next(Fetch& fetch) {
  fetch.path = fetch.paths.back();
  fetch.paths.pop_back();
  fetch.text.clear();
  fetch.size = fetch.offset = 0;
  if (!is_plain_path(fetch.path)) return Error::invalid("\"" + fetch.path + "\" is no path of a file");
  fetch.fd = UniqueFd(::open((root_ + fetch.path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat st{};
  if (!fetch.fd || ::fstat(fetch.fd.get(), &st) != 0) return Error::from_errno(fetch.path);
  if (!S_ISREG(st.st_mode)) return Error::invalid(fetch.path + " is no regular file");
  fetch.size = static_cast<uint64_t>(st.st_size);
  if (fetch.size > kMaxFetchedFile)
    return Error::exhausted(fetch.path + " is larger than " + std::to_string(kMaxFetchedFile >> 20) + " MiB");
  if (fetch.size != 0) return {};
  auto text = read_binary(root_ + fetch.path, kFetchPiece);  // empty, or a kernel's file
  if (!text) return std::move(text).error();
  fetch.text = std::move(*text);
  fetch.size = fetch.text.size();
  return {};
}

// False: all files of the command are sent.
bool GuestCommands::send_piece(Fetch& fetch) {
  GuestFileSentT piece;
  piece.name = fetch.end.name;
  if (!fetch.fd) {
    if (fetch.paths.empty()) return false;
    if (auto opened = open_next(fetch); !opened) piece.error = opened.error().message();
  }
  piece.path = fetch.path;
  piece.size = fetch.size;
  piece.offset = fetch.offset;
  if (piece.error.empty() && !fetch.text.empty()) {
    piece.data.assign(fetch.text.begin(), fetch.text.end());
  } else if (piece.error.empty() && fetch.size != 0) {
    piece.data.resize(std::min<uint64_t>(kFetchPiece, fetch.size - fetch.offset));
    const ssize_t n =
        ::pread(fetch.fd.get(), piece.data.data(), piece.data.size(), static_cast<off_t>(fetch.offset));
    if (n <= 0) piece.error = fetch.path + " became shorter while it was read";
    piece.data.resize(n > 0 ? static_cast<size_t>(n) : 0);
  }
  fetch.offset += piece.data.size();
  if (!piece.error.empty() || fetch.offset >= fetch.size) fetch.fd.reset();
  channel_.send(std::move(piece));
  return true;
}

void GuestCommands::stop(uint64_t limit_ns) {
  for (int signo : {SIGTERM, SIGKILL}) {
    if (commands_.empty()) break;
    for (auto& [pid, command] : commands_) ::kill(-pid, signo);  // each is a session of its own
    loop_.run_until([this] { return commands_.empty(); }, now_ns() + limit_ns);
  }
  loop_.run_until([this] { return fetches_.empty(); }, now_ns() + limit_ns);
}

}  // namespace ktstr::guest
