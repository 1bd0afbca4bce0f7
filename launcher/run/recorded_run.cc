#include "launcher/run/recorded_run.h"

#include <algorithm>

#include "base/sha256.h"
#include "base/text.h"
#include "launcher/vm/topology_args.h"
#include "schemas/client_generated.h"
#include "schemas/event_generated.h"
#include "schemas/log_reader.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

// Where the program `path` of the recording host is on this one.
Status place(const char* role, const std::string& sha256, const std::vector<ExtractedFile>& files,
             const std::string& guest_path, std::string& path) {
  std::string name = std::string("the ") + role + " " + printable(path);
  for (const auto& file : files) {
    if (file.role != role || file.guest_path != guest_path) continue;
    path = file.host_path;
    return {};
  }
  constexpr char kHint[] =
      "record the run with ktstr-launch run --embed: its log then holds all that is needed";
  if (sha256.empty())
    return Error::not_found(name + " is not in the log, which does not tell its hash either")
        .with_hint(kHint);
  auto here = sha256_file(path);
  if (!here) return Error::not_found(name + " is not in the log, and not on this host").with_hint(kHint);
  if (*here != sha256)
    return Error::invalid(name + " is not in the log, and the one on this host is another (sha256 " + *here +
                          ", recorded " + sha256 + ")")
        .with_hint(kHint);
  return {};
}

// The name becomes a folder's; a log may come from anywhere.
bool names_a_folder(std::string_view name) {
  constexpr std::string_view kMarks = "_-.[],=+:~";
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  kMarks.find(c) != kMarks.npos;
         });
}

}  // namespace

Result<RecordedRun> read_recorded_run(const RecordedRunOptions& options) {
  auto reader = LogReader::open(options.log);
  if (!reader) return std::move(reader).error();
  RecordedRun run;
  FileExtractor extractor(options.store);
  bool started = false, settled = false;
  while (!settled) {
    auto event = reader->next();
    if (!event) return std::move(event).error();
    if (!*event) break;
    if (auto* s = (**event).as<RunStarted>(); s && !started) {
      s->UnPackTo(&run.started);
      started = true;
    }
    if (auto* piece = (**event).as<FileEmbedded>()) {
      if (auto s = extractor.add(*piece); !s) return std::move(s).error().within(options.log);
      continue;
    }
    if ((**event).vm() != Vm::Primary && is_own_source(str((**event)->source()))) continue;
    // What clients asked of that run is not asked again of this one.
    if ((**event).type() == Payload::ClientJoined || (**event).type() == Payload::GuestCommandRequested)
      continue;
    settled = (**event).type() == Payload::VmSettled;
    run.last_host_ns = std::max(run.last_host_ns, (**event)->stamp()->host_ns());
    run.events.push_back(std::move(**event));
  }
  std::string damage = reader->damage();
  if (!started)
    return Error::invalid(options.log + ": holds no run" + (damage.empty() ? "" : " (" + damage + ")"));
  if (!settled)
    return Error::invalid(options.log +
                          ": the log ends before the primary VM settled; there is nothing to repeat" +
                          (damage.empty() ? "" : " (" + damage + ")"));
  if (!names_a_folder(run.started.spec->name))
    return Error::invalid(options.log + ": its test is called \"" + printable(run.started.spec->name) +
                          "\", which no spec may say; this is no log of ktstr's");
  if (auto s = check_topology(*run.started.spec->topology, run.started.spec->memory_mb); !s)
    return std::move(s).error().within(options.log);
  auto files = extractor.finish();
  if (!files) return std::move(files).error().within(options.log);
  run.files = std::move(files).value();
  TestSpecT& spec = *run.started.spec;
  if (spec.scheduler)
    if (auto s = place("scheduler", spec.scheduler->sha256, run.files, spec.scheduler->guest_path,
                       spec.scheduler->host_path);
        !s)
      return std::move(s).error();
  for (auto& payload : spec.payloads)
    if (auto s = place("payload", payload->sha256, run.files, payload->guest_path, payload->host_path); !s)
      return std::move(s).error();
  return run;
}

EventBuffer with_run_id(const EventBuffer& event, const std::string& run_id) {
  EventT native;
  event->UnPackTo(&native);
  const Stamp& stamp = *event->stamp();
  return make_event_impl({.run_id = run_id,
                          .source = native.source,
                          .vm = stamp.vm(),
                          .attempt = stamp.attempt(),
                          .host_ns = stamp.host_ns(),
                          .guest_ns = stamp.guest_ns()},
                         std::move(native.payload));
}

}  // namespace ktstr
