#include "runtime/process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>
#include <zmq.hpp>

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

class Loop : public Context {
 public:
  Loop(Role& role, const Options& options) : role_(role), options_(options), source_(role.name()) {}

  int run() {
    if (auto s = prepare(); !s) return fail(s.error());
    while (!stopped_) {
      if (auto s = turn(); !s) return fail(s.error());
    }
    return exit_code_;
  }

  void publish_event(EventBuffer event) override {
    if (auto s = publisher_->publish(event); !s && !stopped_) stop(fail(s.error()));
  }
  EventHead head() const override {
    return {
        .run_id = options_.run_id, .source = source_, .host_ns = clock_.monotonic_ns() - options_.start_ns};
  }
  void watch(int fd, std::function<void()> readable) override { watched_[fd] = std::move(readable); }
  void unwatch(int fd) override { watched_.erase(fd); }
  int every(nanoseconds period, std::function<void()> tick) override {
    timers_[++last_timer_] = {period, now() + period, std::move(tick)};
    return last_timer_;
  }
  void cancel(int timer) override { timers_.erase(timer); }
  void stop(int exit_code) override {
    if (!stopped_) exit_code_ = exit_code;
    stopped_ = true;
  }
  const std::string& bus_folder() const override { return options_.bus; }
  const std::string& log_path() const override { return options_.log; }
  const Clock& clock() const override { return clock_; }

 private:
  struct Timer {
    nanoseconds period;
    nanoseconds due;
    std::function<void()> tick;
  };

  // True once the launcher is gone; false for a process that was not given --parent.
  bool orphaned() const { return options_.parent != 0 && ::getppid() != options_.parent; }
  nanoseconds now() const { return nanoseconds(clock_.monotonic_ns()); }

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
    if (auto s = role_.on_start(*this); !s) return s;
    if (options_.ready_fd >= 0) {
      if (::write(options_.ready_fd, "READY\n", 6) != 6) return Error::from_errno("tell readiness");
      ::close(options_.ready_fd);
    }
    log_info("ready, on " + options_.bus);
    return {};
  }

  Status turn() {
    std::vector<zmq::pollitem_t> items;
    items.push_back({nullptr, subscriber_->fd(), ZMQ_POLLIN, 0});
    items.push_back({nullptr, signal_fd_.get(), ZMQ_POLLIN, 0});
    for (auto& [fd, callback] : watched_) items.push_back({nullptr, fd, ZMQ_POLLIN | ZMQ_POLLERR, 0});
    try {
      zmq::poll(items, poll_limit());
    } catch (const zmq::error_t& e) {
      if (e.num() != EINTR) return Error::system(std::string("poll: ") + e.what());
    }
    if (items[1].revents) leave();
    for (size_t i = 2; i < items.size() && !stopped_; ++i) {
      if (!items[i].revents) continue;
      auto it = watched_.find(items[i].fd);  // an earlier callback may have unwatched it
      if (it == watched_.end()) continue;
      auto callback = it->second;  // may unwatch itself
      callback();
    }
    run_timers();
    return take_events();
  }

  std::chrono::milliseconds poll_limit() const {
    if (more_events_) return std::chrono::milliseconds(0);
    nanoseconds limit = std::chrono::milliseconds(200);
    for (auto& [id, timer] : timers_) limit = std::min(limit, timer.due - now());
    if (limit < nanoseconds(0)) limit = nanoseconds(0);
    return std::chrono::ceil<std::chrono::milliseconds>(limit);
  }

  void run_timers() {
    std::vector<int> due;
    for (auto& [id, timer] : timers_)
      if (timer.due <= now()) due.push_back(id);
    for (int id : due) {
      auto it = timers_.find(id);
      if (it == timers_.end() || stopped_) continue;
      // A late timer does not catch up: it goes on from now.
      it->second.due = std::max(it->second.due + it->second.period, now());
      auto tick = it->second.tick;
      tick();
    }
  }

  // ZMQ_FD is edge-triggered, so everything there is must be taken. A flood of events must not starve the
  // watched fds and timers for long, hence the bound; the next turn then polls without waiting.
  Status take_events() {
    more_events_ = false;
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
    more_events_ = true;
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
  std::map<int, std::function<void()>> watched_;
  std::map<int, Timer> timers_;
  int last_timer_ = 0;
  bool stopped_ = false;
  bool more_events_ = false;
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
  if (auto code = role.run_standalone()) return *code;
  if (options.bus.empty() || options.log.empty()) {
    cli_error(program, "--bus and --log are needed (ktstr-launch starts this program)");
    return 2;
  }
  log_beside(options.log);
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  return Loop(role, options).run();
}

}  // namespace ktstr
