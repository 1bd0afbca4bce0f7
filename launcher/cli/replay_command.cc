// ktstr-launch replay LOG…|DIR: the reports of recorded runs, and documents of all of them, by the reporter itself; or, with
// --bus, one run again on a live bus.
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <zmq.hpp>

#include "base/result.h"
#include "base/text.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/documents.h"
#include "launcher/hub/replay_bus.h"
#include "launcher/run/live_runs.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

// "max", or a positive factor.
Result<double> parse_speed(const std::string& text) {
  if (text == "max") return 0.0;
  char* end = nullptr;
  double speed = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(speed >= 1e-6) || speed > 1e9)
    return Error::invalid("--speed " + text + ": neither a number from 0.000001 to 1000000000 nor max");
  return speed;
}

Result<std::string> recorded_run_id(const std::string& log) {
  auto reader = LogReader::open(log);
  if (!reader) return std::move(reader).error();
  auto first = reader->next();
  if (!first) return std::move(first).error();
  if (!*first) return Error::invalid(reader->damage().empty() ? log + ": holds no event" : reader->damage());
  return std::string(str((**first)->run_id()));
}

UniqueFd stop_signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&mask, s);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  return UniqueFd(::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

int replay_on_bus(const ReplayCommandOptions& options, const std::string& recorded) {
  auto speed = parse_speed(options.speed);
  if (!speed) return report_error(speed.error(), kUsage);
  auto run_id = recorded_run_id(recorded);
  if (!run_id) return report_error(run_id.error(), kUsage);
  std::error_code error;
  std::string log = std::filesystem::absolute(recorded, error).string();
  UniqueFd signals = stop_signals();
  auto folder = BusFolder::create(folder_options());
  if (!folder) return report_error(folder.error(), kInfra);
  zmq::context_t zmq;
  SystemClock clock;
  auto bus = ReplayBus::open(zmq, {.address = BusAddress::in_folder(folder->path()),
                                   .log_path = log,
                                   .speed = *speed,
                                   .subscribers = options.wait,
                                   .linger_s = options.linger_s,
                                   .stop_fd = signals.get()});
  if (!bus) return report_error(bus.error(), kInfra);
  LiveRun run{.run_id = *run_id,
              .bus_folder = folder->path(),
              .log = log,
              .pid = ::getpid(),
              .start_ns = clock.monotonic_ns()};
  run.replay = true;
  if (auto s = announce_run(run); !s) return report_error(s.error(), kInfra);
  std::fprintf(stderr, "replaying %s on %s\n", printable(*run_id).c_str(), folder->path().c_str());
  auto played = (*bus)->play(clock);
  ::unlink((folder->path() + "/run.json").c_str());  // attached collectors leave
  if (!played) return report_error(played.error(), kInfra);
  std::fprintf(stderr, "%llu events replayed%s\n", static_cast<unsigned long long>(played->events),
               played->stopped ? ", then stopped" : "");
  if (played->skipped_steps > 0)
    std::fprintf(stderr, "%llu times the recorded time leaps by more than 10 minutes: not waited for\n",
                 static_cast<unsigned long long>(played->skipped_steps));
  if (played->forgotten > 0)
    std::fprintf(stderr, "%llu events that clients sent were forgotten: a recorded run takes no more\n",
                 static_cast<unsigned long long>(played->forgotten));
  return played->damage.empty() ? 0 : report_error(Error::invalid(played->damage), kInfra);
}

}  // namespace

int replay_command(const ReplayCommandOptions& options) {
  if (options.vm) return replay_vm(options);
  if (options.bus) {
    if (options.logs.size() == 1) return replay_on_bus(options, options.logs.front());
    return report_error(Error::invalid("replay --bus takes one log"), kUsage);
  }
  auto files = recorded_files(options.logs);
  if (!files) return report_error(files.error(), kUsage);
  auto code = run_reporter(
      {.files = std::move(*files),
       .documents = options.documents,
       .format = options.format.empty() ? (options.documents.any() ? "none" : "text") : options.format,
       .until = options.until});
  return code ? *code : report_error(code.error(), kInfra);
}

}  // namespace ktstr
