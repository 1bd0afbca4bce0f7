// ktstr-launch runs; ktstr-launch attach RUN --name NAME -- CMD…
//
// An attached command is an extra collector: its lines become CollectorLine events under its own source name, with the
// time at which they were read. It ends with the command, or with the run.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include "launcher/cli/command_line.h"
#include "launcher/run/live_runs.h"
#include "runtime/bus.h"
#include "runtime/child.h"
#include "runtime/clock.h"
#include "runtime/text.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

constexpr size_t kMaxLine = 4096;
// Splits what it is fed into lines of bounded length and publishes each.
class LineFeed {
 public:
  LineFeed(Publisher& publisher, EventHead head, const Clock& clock, uint64_t start_ns)
      : publisher_(publisher), head_(std::move(head)), clock_(clock), start_ns_(start_ns) {}

  Status feed(std::string_view bytes) {
    for (char c : bytes) {
      if (c != '\n' && line_.size() < kMaxLine) {
        line_ += c;
        continue;
      }
      if (auto s = flush(); !s) return s;
      if (c != '\n') line_ += c;
    }
    return {};
  }
  Status flush() {
    if (line_.empty()) return {};
    CollectorLineT t;
    t.text = std::move(line_);
    line_.clear();
    ++lines_;
    head_.host_ns = clock_.monotonic_ns() - start_ns_;
    return publisher_.publish(make_event(head_, std::move(t)));
  }
  uint64_t lines() const { return lines_; }

 private:
  Publisher& publisher_;
  EventHead head_;
  const Clock& clock_;
  uint64_t start_ns_, lines_ = 0;
  std::string line_;
};

Status feed_until_end(Child& child, int output, LineFeed& feed, const LiveRun& run) {
  char chunk[65536];
  while (true) {
    pollfd p{output, POLLIN, 0};
    ::poll(&p, 1, 200);
    if (p.revents) {
      ssize_t n = ::read(output, chunk, sizeof chunk);
      if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) return feed.flush();
      if (n > 0)
        if (auto s = feed.feed({chunk, static_cast<size_t>(n)}); !s) return s;
    }
    if (::access((run.bus_folder + "/run.json").c_str(), F_OK) != 0) {
      child.terminate(std::chrono::milliseconds(2000));
      return {};  // the run has ended
    }
  }
}

}  // namespace

int runs_command(bool json) {
  auto runs = find_live_runs(folder_options());
  if (json) {
    auto list = nlohmann::json::array();
    for (const auto& r : runs)
      list.push_back({{"run_id", r.run_id}, {"pid", r.pid}, {"log", r.log}, {"bus", r.bus_folder}, {"start_ns", r.start_ns},
                      {"replay", r.replay}, {"listen", r.listen}});
    std::printf("%s\n", list.dump(2).c_str());
    return 0;
  }
  if (runs.empty()) std::fprintf(stderr, "no run is live\n");
  for (const auto& r : runs)
    std::printf("%-40s pid %-8d bus %s  log %s%s%s%s\n", r.run_id.c_str(), r.pid, r.bus_folder.c_str(), r.log.c_str(),
                r.replay ? "  replay" : "", r.listen.empty() ? "" : "  listens at ", r.listen.c_str());
  return 0;
}

int attach_command(const AttachCommandOptions& options) {
  constexpr int kUsage = exit_code(ExitCode::kUsage), kInfra = exit_code(ExitCode::kInfrastructure);
  auto run = find_live_run(folder_options(), options.run);
  if (!run) return report_error(run.error(), kUsage);
  if (run->replay) return report_error(Error::invalid(run->run_id + " is a recorded run: nothing can be added to it"), kUsage);
  if (is_own_source(options.name))
    return report_error(Error::invalid("the source name \"" + options.name + "\" is taken by ktstr itself")
                            .with_hint("choose another --name"), kUsage);
  // A name is held by a lock on its file, so that a killed collector frees it.
  std::string claim = run->bus_folder + "/source." + options.name;
  if (options.name.find('/') != std::string::npos) return report_error(Error::invalid("--name may hold no '/'"), kUsage);
  UniqueFd held(::open(claim.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!held) return report_error(Error::from_errno("join " + run->run_id), kInfra);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  if (::fcntl(held.get(), F_SETLK, &lock) != 0)
    return report_error(Error::invalid("the source name \"" + options.name + "\" is taken in this run")
                            .with_hint("choose another --name"), kUsage);

  zmq::context_t zmq;
  auto publisher = Publisher::connect(zmq, BusAddress::in_folder(run->bus_folder));
  if (!publisher) return report_error(publisher.error(), kInfra);
  publisher->set_give_up([&] { return ::access((run->bus_folder + "/run.json").c_str(), F_OK) != 0; });
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return report_error(Error::from_errno("pipe"), kInfra);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  auto child = Child::spawn({.argv = options.command, .stdout_fd = write_end.get(), .stderr_fd = write_end.get(),
                             .own_session = false});
  if (!child) return report_error(child.error(), kUsage);
  write_end.reset();
  SystemClock clock;
  LineFeed feed(*publisher, {.run_id = run->run_id, .source = options.name}, clock, run->start_ns);
  auto status = feed_until_end(*child, read_end.get(), feed, *run);
  std::fprintf(stderr, "%llu lines into %s as %s\n", static_cast<unsigned long long>(feed.lines()),
               run->run_id.c_str(), printable(options.name).c_str());
  if (!status) return report_error(status.error(), kInfra);
  auto exit = child->wait(std::chrono::milliseconds(5000));
  return exit && exit->signal == 0 ? exit->exit_code : 0;
}

}  // namespace ktstr
