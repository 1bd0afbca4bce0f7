#include "runtime/process.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <zmq.hpp>

#include "base/event_loop.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "runtime/bus.h"
#include "schemas/event_generated.h"
#include "schemas/helper_flags.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

using std::chrono::nanoseconds;

struct Options {
  std::string bus, log, run_id;
  int ready_fd = -1;
  uint64_t start_ns = 0;
  int parent = 0;
  uint64_t recorded_until = 0;
};

// The parent-death signal that the launcher gives its helpers (launcher/run/helpers.cc): apart from SIGTERM, which
// it sends while it lives.
constexpr int kLauncherDied = SIGHUP;
// A subscriber that misses an announced event asks for it again when it is next looked at.
constexpr uint64_t kLookAgain = 200 * kMs;

class Loop : public Context {
 public:
  Loop(Role& role, const Options& options) : role_(role), options_(options), source_(role.name()) {}

  int run() {
    if (auto s = prepare(); !s) return fail(s.error());
    loop_.run_until([this] { return stopped_; }, UINT64_MAX);
    return exit_code_;
  }

  void publish_event(EventBuffer event) override {
    if (auto s = publisher_->publish(event); !s && !stopped_) stop(fail(s.error()));
  }
  EventHead head() const override {
    return {
        .run_id = options_.run_id, .source = source_, .host_ns = clock_.monotonic_ns() - options_.start_ns};
  }
  void watch(int fd, std::function<void()> readable) override {
    loop_.watch(fd, EPOLLIN, [this, readable = std::move(readable)](uint32_t) {
      if (!stopped_) readable();
    });
  }
  void unwatch(int fd) override { loop_.unwatch(fd); }
  int every(nanoseconds period, std::function<void()> tick) override {
    return loop_.every(static_cast<uint64_t>(period.count()), [this, tick = std::move(tick)] {
      if (!stopped_) tick();
    });
  }
  void cancel(int timer) override { loop_.cancel(timer); }
  void stop(int exit_code) override {
    if (!stopped_) exit_code_ = exit_code;
    stopped_ = true;
  }
  const std::string& bus_folder() const override { return options_.bus; }
  const std::string& log_path() const override { return options_.log; }
  const Clock& clock() const override { return clock_; }

 private:
  // True once the launcher is gone; false for a process that was not given --parent.
  bool orphaned() const { return options_.parent != 0 && ::getppid() != options_.parent; }

  int fail(const Error& error) {
    log_error(error.to_string());
    return 1;
  }

  Status prepare() {
    auto address = BusAddress::in_folder(options_.bus);
    auto publisher = Publisher::connect(zmq_, address);
    if (!publisher) return std::move(publisher).error();
    publisher_.emplace(std::move(publisher).value());
    publisher_->set_give_up([this] { return orphaned(); });
    auto subscriber = Subscriber::connect(zmq_, address, options_.log);
    if (!subscriber) return std::move(subscriber).error();
    subscriber_.emplace(std::move(subscriber).value());
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, kLauncherDied);
    sigprocmask(SIG_BLOCK, &mask, nullptr);
    signal_fd_ = UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signal_fd_) return Error::from_errno("signalfd");
    // What is received is taken after each turn, whatever woke the loop: ZMQ_FD is edge-triggered.
    loop_.watch(subscriber_->fd(), EPOLLIN, [](uint32_t) {});
    loop_.watch(signal_fd_.get(), EPOLLIN, [this](uint32_t) { leave(); });
    loop_.every(kLookAgain, [] {});
    loop_.after_turn([this] {
      if (auto s = take_events(); !s) stop(fail(s.error()));
    });
    if (auto s = role_.on_start(*this); !s) return s;
    if (options_.ready_fd >= 0) {
      if (::write(options_.ready_fd, "READY\n", 6) != 6) return Error::from_errno("tell readiness");
      ::close(options_.ready_fd);
    }
    log_info("ready, on " + options_.bus);
    return {};
  }

  // Everything there is must be taken. A flood of events must not starve the watched fds and timers for long, hence
  // the bound; the next turn then does not sleep.
  Status take_events() {
    for (int n = 0; n < 1000 && !stopped_; ++n) {
      auto event = subscriber_->receive();
      if (!event) return std::move(event).error();
      if (!*event) return {};
      bool recorded = (**event).seq() <= options_.recorded_until && (**event).vm() == Vm::Primary;
      if (!recorded) role_.on_event(**event, *this);
      if ((**event).type() == Payload::RunFinished) {
        log_debug("RunFinished: ending");
        stop(0);
      }
    }
    if (!stopped_) loop_.again();
    return {};
  }

  void leave() {
    bool launcher_died = false;
    signalfd_siginfo info;
    while (::read(signal_fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info))
      launcher_died = launcher_died || info.ssi_signo == kLauncherDied;
    log_info(launcher_died ? "the launcher died" : "asked to stop (SIGTERM)");
    role_.on_stop(*this);
    if (launcher_died && wait_for_orphanhood()) {
      // Nobody else is left to remove the sockets. All helpers do it at once, and remove_all gives up where another
      // was faster: again, until the folder is gone.
      std::error_code ignored;
      for (int i = 0; i < 100 && std::filesystem::exists(options_.bus, ignored); ++i)
        std::filesystem::remove_all(options_.bus, ignored);
      _exit(128 + SIGTERM);  // the hub is gone: no use in waiting for ZeroMQ to deliver
    }
    stop(128 + SIGTERM);
  }

  // The signal is sent when the launcher's main thread dies, which may be before its other threads do; only with
  // the last of them are we given a new parent.
  bool wait_for_orphanhood() const {
    for (int i = 0; i < 1000; ++i) {
      if (orphaned()) return true;
      ::usleep(5'000);
    }
    return false;
  }

  Role& role_;
  Options options_;
  std::string source_;
  SystemClock clock_;
  zmq::context_t zmq_;
  std::optional<Publisher> publisher_;
  std::optional<Subscriber> subscriber_;
  UniqueFd signal_fd_;
  EventLoop loop_;
  bool stopped_ = false;
  int exit_code_ = 0;
};

class CliOptions : public OptionSet {
 public:
  explicit CliOptions(CLI::App& app) : app_(app) {}
  void text(const std::string& name, std::string& value, const std::string& help) override {
    add(name, value, help);
  }
  void texts(const std::string& name, std::vector<std::string>& values, const std::string& help) override {
    app_.add_option(name, values, help);
  }
  void count(const std::string& name, uint64_t& value, const std::string& help) override {
    add(name, value, help);
  }
  void number(const std::string& name, double& value, double least, double most,
              const std::string& help) override {
    add(name, value, help)->check(CLI::Range(least, most));
  }

 private:
  template <typename T>
  CLI::Option* add(const std::string& name, T& value, const std::string& help) {
    const bool has_default = value != T();
    CLI::Option* option = app_.add_option(name, value, help);
    return has_default ? option->capture_default_str() : option;
  }

  CLI::App& app_;
};

}  // namespace

int run_process(int argc, char** argv, Role& role) {
  Options options;
  std::string program = "ktstr-" + std::string(role.name());
  CLI::App app(program);
  app.add_option(kBusFlag, options.bus, "the run's bus folder");
  app.add_option(kLogFlag, options.log, "the run's event log");
  app.add_option(kRunIdFlag, options.run_id, "the run's id");
  app.add_option(kReadyFdFlag, options.ready_fd, "write READY here once started");
  app.add_option(kStartNsFlag, options.start_ns, "CLOCK_MONOTONIC at the run's start: the zero of host_ns");
  app.add_option(kParentFlag, options.parent, "pid of the launcher: end with it");
  app.add_option(kRecordedUntilFlag, options.recorded_until,
                 "facts of the primary VM up to this event are a recorded run's: not for this process");
  CliOptions own(app);
  role.add_options(own);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    int code = app.exit(e);
    return code == 0 ? 0 : 2;
  }
  // A launcher has said already what is wrong with KTSTR_LOG.
  start_log({.process = std::string(role.name()), .program = program, .complain = options.parent == 0});
  if (!options.log.empty()) log_beside(options.log);
  // Before there is a second thread.
  if (auto wanted = role.confinement(options.bus, options.log))
    if (auto s = confine(*wanted); !s) log_info("not confined as it should be: " + s.error().to_string());
  if (auto code = role.run_standalone()) return *code;
  if (options.bus.empty() || options.log.empty()) {
    cli_error(program,
              std::string(kBusFlag) + " and " + kLogFlag + " are needed (ktstr-launch starts this program)");
    return 2;
  }
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  return Loop(role, options).run();
}

}  // namespace ktstr
