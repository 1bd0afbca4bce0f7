// ktstr-launch bundle LOG: reports, log, frozen state, versions, spec and command lines of a run, as one file for a bug report.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/json.h"
#include "base/small_files.h"
#include "base/text.h"
#include "launcher/bundle/bundle_file.h"
#include "launcher/bundle/redaction.h"
#include "launcher/cli/command_line.h"
#include "launcher/cli/documents.h"
#include "schemas/event_json.h"
#include "schemas/exit_code.h"
#include "schemas/log_reader.h"
#include "schemas/log_writer.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/unpack.h"
#include "version.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostStateBytes = 256u << 20;  // of one frozen*.json
constexpr size_t kMostEmbeddedNames = 4096;

class WorkFolder {
 public:
  WorkFolder() {
    std::error_code error;
    path_ = (fs::temp_directory_path(error) / "ktstr-bundle-XXXXXX").string();
    if (!::mkdtemp(path_.data())) path_.clear();
  }
  ~WorkFolder() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  bool made() const { return !path_.empty(); }
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// What the bundle says of the run beside its reports, collected from the log that goes into it.
struct RunNotes {
  std::string test, rerun, versions, spec;
  std::string qemu;                   // a command line of each VM
  std::vector<std::string> embedded;  // names of embedded files
  uint64_t embedded_bytes = 0;
  uint64_t events = 0;
  std::string damage;
  std::vector<std::string> state_files;  // GuestFrozen.artifact

  void fold(const EventBuffer& event);
};

std::string shell_word(const std::string& word) {
  if (!word.empty() &&
      word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=,./:@%") ==
          std::string::npos)
    return word;
  std::string out = "'";
  for (char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

void RunNotes::fold(const EventBuffer& event) {
  ++events;
  if (const auto* started = event.as<RunStarted>(); started && test.empty()) {
    const auto run = unpack<RunStartedT>(*started);
    test = printable(run.spec->name);
    rerun = printable(run.rerun) + "\n";
    versions = "ktstr " + printable(run.tool_version) + "\nrun " + printable(run.run_id) + "\n";
    if (run.kernel)
      versions += "kernel " + printable(run.kernel->release) + "\nkernel build id " +
                  printable(run.kernel->build_id) + "\n" + printable(run.kernel->banner) + "\n";
    if (run.accelerator)
      versions += "accelerator " + printable(run.accelerator->name) + ": " +
                  printable(run.accelerator->reason) + "\n";
    if (run.host)
      versions +=
          fmt::format("host kernel {}\nqemu {}\nhost CPUs {}, memory {} MiB\n", printable(run.host->kernel),
                      printable(run.host->qemu), run.host->cpus, run.host->memory_mb);
    if (run.spec->scheduler)
      versions += "scheduler " + printable(run.spec->scheduler->name) + ", sha256 " +
                  printable(run.spec->scheduler->sha256) + "\n";
    spec = json_text(event_json(event)["payload"]["spec"], 2) + "\n";
  } else if (const auto* vm = event.as<VmStarted>()) {
    qemu += event.vm() == Vm::Repro ? fmt::format("# repro VM {}\n", event->stamp()->attempt())
                                    : "# primary VM\n";
    std::string line;
    if (vm->cmdline())
      for (const auto* word : *vm->cmdline()) line += (line.empty() ? "" : " ") + shell_word(word->str());
    qemu += printable(line) + "\n";
  } else if (const auto* file = event.as<FileEmbedded>()) {
    if (file->offset() == 0 && embedded.size() < kMostEmbeddedNames)
      embedded.push_back(fmt::format("{} {} ({} bytes)", printable(str(file->role())),
                                     printable(str(file->path())), file->size()));
    embedded_bytes += file->data() ? file->data()->size() : 0;
  } else if (const auto* frozen = event.as<GuestFrozen>()) {
    // A name beside the log, whatever it says.
    const std::string name = fs::path(str(frozen->artifact())).filename().string();
    if (name.starts_with("frozen") && name.ends_with(".json") && state_files.size() < 64 &&
        std::find(state_files.begin(), state_files.end(), name) == state_files.end())
      state_files.push_back(name);
  }
}

template <typename Visit>
Status each_event(const std::string& log, std::string* damage, const Visit& visit) {
  auto reader = LogReader::open(log);
  if (!reader) return std::move(reader).error();
  while (true) {
    auto event = reader->next();
    if (!event) return std::move(event).error();
    if (!*event) break;
    if (auto s = visit(**event); !s) return s;
  }
  if (damage) *damage = reader->damage();
  return {};
}

// The log again without the embedded files, redacted: a valid log, whose events are counted anew.
Status write_redacted(const std::string& from, const std::string& to, const Redaction& redaction,
                      RunNotes& notes) {
  auto writer = LogWriter::create(to);
  if (!writer) return std::move(writer).error();
  std::vector<EventBuffer> batch;
  auto s = each_event(from, nullptr, [&](const EventBuffer& event) -> Status {
    if (const auto* file = event.as<FileEmbedded>()) {
      notes.embedded_bytes += file->data() ? file->data()->size() : 0;
      return {};
    }
    auto changed = redaction.redact(event);
    if (!changed) return std::move(changed).error().within("redact event " + std::to_string(event.seq()));
    if (const auto* started = changed->as<RunStarted>(); started && started->files_embedded()) {
      auto run = unpack<RunStartedT>(*started);
      run.files_embedded = false;
      const Stamp& stamp = *(*changed)->stamp();
      batch.push_back(make_event({.run_id = run.run_id,
                                  .source = std::string(str((*changed)->source())),
                                  .vm = stamp.vm(),
                                  .attempt = stamp.attempt(),
                                  .host_ns = stamp.host_ns(),
                                  .guest_ns = stamp.guest_ns()},
                                 std::move(run)));
    } else {
      batch.push_back(std::move(*changed));
    }
    if (batch.size() < 256) return {};
    auto written = writer->append(batch);
    batch.clear();
    return written;
  });
  if (s && !batch.empty()) s = writer->append(batch);
  return s;
}

std::string readme(const RunNotes& notes, const std::vector<std::string>& members,
                   const Redaction* redaction) {
  std::string out = fmt::format("A run of ktstr, for a bug report. Test: {}\n\n",
                                notes.test.empty() ? "unknown" : notes.test);
  out +=
      "report.md     the report, to paste into an issue\nreport.txt    the report, as ktstr-launch prints "
      "it\n"
      "index.html    the report with charts, for a browser; needs no network\n"
      "events.ktlog  all events: ktstr-launch replay BUNDLE, or ktstr-launch log events.ktlog\n"
      "versions.txt  ktstr, kernel, QEMU, host\nspec.json     the test as it was resolved\nqemu.txt      "
      "command lines of the VMs\n"
      "rerun.txt     the command that runs the test again\n";
  for (const std::string& name : members)
    if (name.starts_with("frozen"))
      out += name + "  the scheduler's state at its end, as it was in the guest's memory\n";
  out += fmt::format("\nThe log holds {} events.\n", notes.events);
  if (!notes.damage.empty()) out += "It does not end well: " + printable(notes.damage) + "\n";
  if (redaction) {
    out += "\nRedacted: " + redaction->summary() +
           ". Each has a stand-in of its own length, the same in every file of this bundle.\n"
           "Not touched: what the guest printed, unless it holds one of these names; relative paths.\n";
    if (notes.embedded_bytes) out += "Files that the log embedded (run --embed) were left out.\n";
  } else {
    out +=
        "\nNot redacted: paths, host names and user names of the machine are in it, and whatever the guest "
        "printed.\n";
    if (!notes.embedded.empty()) {
      out +=
          fmt::format("The log embeds {} files ({} bytes):\n", notes.embedded.size(), notes.embedded_bytes);
      for (const std::string& name : notes.embedded) out += "  " + name + "\n";
    }
  }
  return out;
}

Status make_bundle(const BundleCommandOptions& options, const WorkFolder& work, std::string& out,
                   std::optional<Redaction>& redaction) {
  RunNotes notes;
  std::string log = options.log;
  if (options.redact) {
    redaction.emplace(HostNames::of_this_host());
    // The paths of the log itself, too: a report may name them.
    if (auto s = each_event(log, &notes.damage,
                            [&](const EventBuffer& event) {
                              redaction->learn(event);
                              return Status();
                            });
        !s)
      return s;
    if (auto s = write_redacted(options.log, work / kBundleLog, *redaction, notes); !s) return s;
    notes.damage = redaction->redacted(notes.damage);
    log = work / kBundleLog;
  }
  std::string damage;
  if (auto s = each_event(log, &damage,
                          [&](const EventBuffer& event) {
                            notes.fold(event);
                            return Status();
                          });
      !s)
    return s;
  if (notes.damage.empty()) notes.damage = damage;
  if (notes.events == 0) return Error::invalid(options.log + ": holds no event");
  if (out.empty()) {
    std::string name = notes.test.empty() ? "run" : notes.test.substr(0, 100);
    for (char& c : name)
      if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
            c == '_'))
        c = '_';
    out = name + ".ktstr.tar.zst";
  }
  UniqueFd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  ReporterRequest request;
  request.files.logs = {log};
  request.documents.markdown = work / "report.md";
  request.documents.html = work / "html";
  request.format = "text";
  request.report_file = work / "report.txt";
  request.stdout_fd = nowhere.get();
  auto reported = run_reporter(request);
  if (!reported) return std::move(reported).error();
  if (!path_exists(work / "html/index.html") || !path_exists(work / "report.txt") ||
      !path_exists(work / "report.md"))
    return Error::system("ktstr-reporter made no report of " + options.log);
  auto bundle = BundleWriter::create(out);
  if (!bundle) return std::move(bundle).error();
  const fs::path beside = fs::path(options.log).parent_path();
  std::vector<std::string> states;
  for (const std::string& name : notes.state_files)
    if (path_exists((beside / name).string())) states.push_back(name);
  if (auto s = bundle->add("README.md", readme(notes, states, redaction ? &*redaction : nullptr)); !s)
    return s;
  for (const auto& [name, path] : {std::pair<std::string, std::string>{"report.md", work / "report.md"},
                                   {"report.txt", work / "report.txt"},
                                   {"index.html", work / "html/index.html"}})
    if (auto s = bundle->add_file(name, path); !s) return s;
  for (const auto& [name, text] : {std::pair<std::string, std::string>{"versions.txt", notes.versions},
                                   {"spec.json", notes.spec},
                                   {"qemu.txt", notes.qemu},
                                   {"rerun.txt", notes.rerun}})
    if (auto s = bundle->add(name, text); !s) return s;
  for (const std::string& name : states) {
    auto text = read_binary((beside / name).string(), kMostStateBytes);
    if (!text) return std::move(text).error();
    if (redaction) redaction->redact(*text);
    if (auto s = bundle->add(name, *text); !s) return s;
  }
  if (auto s = bundle->add_file(kBundleLog, log); !s) return s;
  return bundle->finish();
}

}  // namespace

int bundle_command(const BundleCommandOptions& asked) {
  BundleCommandOptions options = asked;
  std::error_code error;
  if (fs::is_directory(options.log, error)) options.log = (fs::path(options.log) / kBundleLog).string();
  WorkFolder work;
  if (!work.made()) return report_error(Error::from_errno("make a temporary folder"), kInfra);
  std::string out = options.out;
  std::optional<Redaction> redaction;
  if (auto s = make_bundle(options, work, out, redaction); !s)
    return report_error(s.error(),
                        s.error().kind() == ErrorKind::kSystem || s.error().kind() == ErrorKind::kExhausted
                            ? kInfra
                            : kUsage);
  std::fprintf(stderr, "%s: %.1f MB%s\n", printable(out).c_str(),
               static_cast<double>(fs::file_size(out, error)) / 1e6,
               redaction ? (", redacted: " + redaction->summary()).c_str() : "");
  return 0;
}

}  // namespace ktstr
