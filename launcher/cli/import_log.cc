#include "launcher/cli/import_log.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "explain/text_line.h"
#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/scx_words.h"
#include "version.h"

namespace ktstr {
namespace {

constexpr size_t kMaxLineBytes = 4096;  // of a line's event (schemas/guest.fbs)
constexpr size_t kBatch = 256;

}  // namespace

Result<std::unique_ptr<ImportLog>> ImportLog::create(const std::string& path, const std::string& text) {
  auto writer = LogWriter::create(path);
  if (!writer) return std::move(writer).error();
  std::unique_ptr<ImportLog> log(new ImportLog(std::move(*writer)));
  const std::string name = printable(text == "-" ? "standard input" : text.substr(text.rfind('/') + 1));
  log->run_id_ = "import/" + name;
  RunStartedT started;
  started.tool_version = kVersion;
  started.schema_version = kSchemaVersion;
  started.run_id = log->run_id_;
  started.spec = std::make_unique<TestSpecT>();
  started.spec->name = name;
  started.spec->topology = std::make_unique<TopologyT>();
  started.command = {"ktstr-launch", "explain", text};
  log->add(std::move(started));
  return log;
}

template <typename T>
void ImportLog::add(T payload, uint64_t guest_ns) {
  EventHead head{.run_id = run_id_, .source = "import", .vm = Vm::Primary, .guest_ns = guest_ns};
  if constexpr (std::is_same_v<T, RunStartedT> || std::is_same_v<T, FactsCompletedT>) head.vm = Vm::Host;
  batch_.push_back(make_event(head, std::move(payload)));
  if (batch_.size() >= kBatch) flush();
}

void ImportLog::flush() {
  if (status_.ok() && !batch_.empty()) status_ = writer_.append(batch_);
  batch_.clear();
}

void ImportLog::line(std::string_view raw, LineRole role) {
  const TextLine line = strip_prefixes(without_escapes(raw.substr(0, 4 * kMaxLineBytes), escapes_));
  const bool truncated = line.text.size() > kMaxLineBytes;
  std::string text(line.text.substr(0, kMaxLineBytes));
  if (role == LineRole::kDump) {
    DumpLineT event;
    event.text = std::move(text);
    event.cpu = -1;
    event.truncated = truncated;
    return add(std::move(event), line.monotonic_ns);
  }
  if (role == LineRole::kProcess || line.origin == Origin::kProcess) {
    SchedulerLineT event;
    event.stream = OutputStream::Stderr;
    event.text = std::move(text);
    event.truncated = truncated;
    return add(std::move(event), line.monotonic_ns);
  }
  ConsoleLineT event;
  event.text = line.monotonic_ns == 0 ? std::move(text)
                                      : fmt::format("[{:5}.{:06}] {}", line.monotonic_ns / 1'000'000'000,
                                                    line.monotonic_ns % 1'000'000'000 / 1000, text);
  event.truncated = truncated;
  add(std::move(event), line.monotonic_ns);
}

void ImportLog::incident(const Incident& incident) {
  if (incident.kind == IncidentKind::kFault) return add(KernelFaultT(incident.fault));
  if (incident.kind != IncidentKind::kExit || !incident.exit.is_error()) return;
  CrashDetectedT crash =
      to_crash(ScxWords::Error{incident.exit, incident.dump ? "sched_ext_dump" : "console"});
  if (crash.ops_name.empty()) crash.ops_name = incident.running_ops;
  add(std::move(crash), incident.exit.guest_ns);
}

Status ImportLog::finish() {
  add(FactsCompletedT{});
  flush();
  return std::move(status_);
}

}  // namespace ktstr
