// ktstr-launch watch RUN | --connect tcp://HOST:PORT --key FILE: the events of a live run as they come, every one, from the first.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <zmq.hpp>

#include "launcher/cli/command_line.h"
#include "launcher/cli/event_printer.h"
#include "launcher/run/live_runs.h"
#include "runtime/bus.h"
#include "schemas/event_generated.h"
#include "schemas/exit_code.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

struct Source {
  BusAddress address;
  std::string log;     // empty: remote
  std::string folder;  // empty: remote
};

Result<Source> find_source(const WatchCommandOptions& options) {
  if (options.connect.empty()) {
    auto run = find_live_run(folder_options(), options.run);
    if (!run) return std::move(run).error();
    return Source{BusAddress::in_folder(run->bus_folder), run->log, run->bus_folder};
  }
  auto address = BusAddress::remote(options.connect);
  if (!address) return std::move(address).error();
  if (options.key.empty())
    return Error::invalid("--connect needs a key").with_hint("--key FILE; ktstr-launch keygen makes one");
  auto key = read_client_key(options.key);
  if (!key) return std::move(key).error();
  address->key = *key;
  return Source{*address, "", ""};
}

}  // namespace

int watch_command(const WatchCommandOptions& options) {
  auto printer = EventPrinter::make(options.print);
  if (!printer) return report_error(printer.error(), kUsage);
  auto source = find_source(options);
  if (!source) return report_error(source.error(), kUsage);
  zmq::context_t zmq;
  if (!options.connect.empty()) {
    // Asks the repair socket first: a client without a valid key receives nothing, and this shows why.
    auto probe = RepairSource::from_hub(zmq, source->address);
    if (!probe) return report_error(probe.error(), kInfra);
    auto first = (*probe)->get(1, 1);
    if (!first && first.error().kind() == ErrorKind::kInvalid)
      return report_error(std::move(first).error().within(options.connect), kUsage);
    if (!first)
      return report_error(Error::timeout(options.connect + ": no run answers")
                              .with_hint("the run may have ended, or the key may belong to another server"),
                          kInfra);
  }
  auto subscriber = Subscriber::connect(zmq, source->address, source->log);
  if (!subscriber) return report_error(subscriber.error(), kInfra);
  while (true) {
    auto event = subscriber->receive();
    if (!event) return report_error(event.error(), kInfra);
    if (*event) {
      printer->print(**event);
      if ((**event).type() == Payload::RunFinished) break;
      continue;
    }
    std::fflush(stdout);
    if (!source->folder.empty() && ::access((source->folder + "/run.json").c_str(), F_OK) != 0)
      return report_error(Error::system("the run ended without a word"), exit_code(ExitCode::kInconclusive));
    if (source->folder.empty() && subscriber->silence() > kHubSilence)
      return report_error(
          Error::timeout(options.connect + ": nothing was heard for 30 s, not even a heartbeat")
              .with_hint("ktstr-launch or the network is gone"),
          exit_code(ExitCode::kInconclusive));
    // The descriptor is edge-triggered: the socket is looked at now and then in any case.
    pollfd p{subscriber->fd(), POLLIN, 0};
    ::poll(&p, 1, 100);
  }
  std::fflush(stdout);
  std::fprintf(stderr, "%llu events, %llu of them repaired\n",
               static_cast<unsigned long long>(subscriber->last_seq()),
               static_cast<unsigned long long>(subscriber->repaired()));
  return 0;
}

}  // namespace ktstr
