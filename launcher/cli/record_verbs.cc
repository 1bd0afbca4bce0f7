// Verbs of specs, of live runs and of what runs left: list, show, log, watch, attach, replay, explain, triage, pin, merge,
// bundle, runs.
#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "base/result.h"
#include "launcher/cli/explain_command.h"
#include "launcher/cli/verbs.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

Runner add_list(CLI::App& command, const Argv&) {
  auto options = std::make_shared<ListCommandOptions>();
  command.add_option("SPEC", options->specs, "test specs (TOML), folders of them, test binaries")->required();
  command.add_option("-E,--filter", options->filters, "only these tests")->allow_extra_args(false);
  add_axes(command, options->kernels, options->topologies);
  command.add_flag("--json", options->json, "as JSON");
  return [options] {
    if (auto s = expand_ranges(options->kernels); !s)
      return report_error(s.error(), exit_code(ExitCode::kUsage));
    return list_command(*options);
  };
}

Runner add_show(CLI::App& command, const Argv&) {
  auto options = std::make_shared<ShowCommandOptions>();
  command.add_option("TEST", options->test, "the test's name")->required();
  command.add_option("SPEC", options->specs, "test specs (TOML), folders of them, test binaries")->required();
  return [options] { return show_command(*options); };
}

Runner add_log(CLI::App& command, const Argv&) {
  auto options = std::make_shared<LogCommandOptions>();
  command.add_option("LOG", options->log, "events.ktlog")->required();
  add_print_options(command, options->print);
  command.add_flag(
      "--normalised", options->normalised,
      "print a deterministic run's events source by source, and a hash: both are the same for the same seed");
  return [options] { return log_command(*options); };
}

Runner add_watch(CLI::App& command, const Argv&) {
  auto options = std::make_shared<WatchCommandOptions>();
  command.add_option("RUN", options->run, "a run id, a part of one, or latest")->capture_default_str();
  command.add_option("--connect", options->connect,
                     "tcp://HOST:PORT: a run on another machine (run --listen)");
  command.add_option("--key", options->key, "with --connect: the client's key file (keygen)");
  add_print_options(command, options->print);
  return [options] { return watch_command(*options); };
}

Runner add_attach(CLI::App& command, const Argv&) {
  auto options = std::make_shared<AttachCommandOptions>();
  command.footer(
      "Exit code: that of the command, or 128 and the signal that ended it; 2 bad command line, 3 "
      "infrastructure failure.\n");
  command.add_option("RUN", options->run, "a run id, a part of one, latest, or tcp://HOST:PORT")->required();
  command.add_option("--key", options->key, "with tcp://: the client's key file (keygen)");
  command.add_option("--name", options->name, "name of the source, shown in the report")->required();
  command.add_flag("--guest", options->guest,
                   "run the command in the VM; attach copies the program and its libraries there");
  command
      .add_option("--vm", options->vm, "with --guest: primary, or repro (waits until auto-repro boots it)")
      ->check(CLI::IsMember({"primary", "repro"}))
      ->capture_default_str();
  command.add_flag(
      "--metrics", options->metrics,
      "the lines hold numbers (name=value words, or a JSON object); the report shows each name as a series");
  command
      .add_option(
          "--fetch", options->fetch,
          "with --guest: copy this file of the guest to the host after the command has ended (PATH, or "
          "PATH=LOCAL); repeat it")
      ->allow_extra_args(false);
  command
      .add_option("--file", options->files,
                  "with --guest: copy this file of the host to the same path in the VM first; repeat it")
      ->allow_extra_args(false);
  command.add_option("CMD", options->command, "the command and its arguments, after --");
  return [options] {
    if (options->command.empty() && (!options->guest || options->fetch.empty()))
      return report_error(
          Error::invalid("attach: the command is missing").with_hint("attach RUN --name NAME -- CMD…"),
          kUsage);
    if (!options->guest && !(options->fetch.empty() && options->files.empty()))
      return report_error(Error::invalid("attach: --fetch and --file go with --guest"), kUsage);
    return attach_command(*options);
  };
}

Runner add_replay(CLI::App& command, const Argv&) {
  auto options = std::make_shared<ReplayCommandOptions>();
  command.add_option("LOG", options->logs, "events.ktlog, bundles, or folders of runs")->required();
  add_document_options(command, options->documents);
  command.add_option("--format", options->format,
                     "what to print: text (the default without a document), summary, json, junit, md, "
                     "github, ktap, perfetto, none");
  command.add_option("--until", options->until, "use only the events up to this number");
  command.add_flag("--bus", options->bus,
                   "publish the events on a bus, for collectors and tools (`runs` lists it)");
  command.add_option("--speed", options->speed, "with --bus: multiply the recorded speed by this, or max")
      ->capture_default_str();
  command.add_option("--wait", options->wait, "with --bus: wait for this many subscribers first")
      ->capture_default_str();
  command
      .add_option("--linger", options->linger_s,
                  "with --bus: keep the bus for this many seconds after the last event")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  auto* vm = command.add_flag("--vm", options->vm,
                              "run the VM of a deterministic run again, and read its queues at each --at");
  command
      .add_option("--at", options->at,
                  "with --vm: time in seconds on the report's timeline (docs/determinism.md); repeat it")
      ->needs(vm)
      ->allow_extra_args(false);
  command
      .add_option("--gdb", options->gdb, "with --vm: stop the VM at the last --at, for gdb on this socket")
      ->needs("--at");
  command.add_option("--out", options->out, "with --vm: folder of the new log and report")->needs(vm);
  return [options] { return replay_command(*options); };
}

Runner add_explain(CLI::App& command, const Argv&) {
  auto options = std::make_shared<ExplainCommandOptions>();
  command.footer("Exit codes: 0 every FILE could be read, 2 one could not.\n");
  command
      .add_option(
          "FILE", options->files,
          "dmesg, journal, scheduler output, a paste of them, gz/xz/zst, events.ktlog; -: standard input")
      ->required();
  command.add_flag("--json", options->json, "print one JSON object for each file (docs/explain.md)");
  command.add_option("--log", options->log, "write lines and crashes to this file as an event log");
  auto* kernel =
      command.add_option("--kernel", options->kernel,
                         "source lines from this kernel's debug info: series, release, image, built tree");
  command.add_option("--debuginfo", options->debuginfo, "source lines from this vmlinux (with DWARF)")
      ->excludes(kernel);
  return [options] { return explain_command(*options); };
}

Runner add_triage(CLI::App& command, const Argv&) {
  auto options = std::make_shared<TriageCommandOptions>();
  command.footer("Exit codes: 0 done, 2 a PATH does not exist.\n");
  command.add_option("PATH", options->paths, "texts, events.ktlog, folders of them")->required();
  command.add_option("--format", options->format, "text, json or md")
      ->check(CLI::IsMember({"text", "json", "md"}))
      ->capture_default_str();
  return [options] { return triage_command(*options); };
}

Runner add_pin(CLI::App& command, const Argv&) {
  auto options = std::make_shared<PinCommandOptions>();
  command.add_option("LOG", options->log, "events.ktlog")->required();
  return [options] { return pin_command(*options); };
}

Runner add_merge(CLI::App& command, const Argv&) {
  auto options = std::make_shared<MergeCommandOptions>();
  command.add_option("DIR", options->paths, "folders of runs (run --out DIR), or logs")->required();
  add_document_options(command, options->documents);
  return [options] { return merge_command(*options); };
}

Runner add_bundle(CLI::App& command, const Argv&) {
  auto options = std::make_shared<BundleCommandOptions>();
  command.add_option("LOG", options->log, "events.ktlog, or the folder of a test that holds it")->required();
  command.add_option("-o,--out", options->out,
                     "the file to write (default: TEST.ktstr.tar.zst in this folder)");
  command.add_flag(
      "--redact", options->redact,
      "replace folders of the host, user names and host names everywhere, and leave out embedded files");
  return [options] { return bundle_command(*options); };
}

Runner add_runs(CLI::App& command, const Argv&) {
  auto json = std::make_shared<bool>(false);
  command.add_flag("--json", *json, "as JSON");
  auto clean = std::make_shared<RunsCleanOptions>();
  CLI::App* clean_cmd = command.add_subcommand("clean", "remove kept runs");
  clean_cmd->add_option("--keep", clean->keep, "keep the newest N runs");
  clean_cmd->add_option("--older", clean->older, "remove only runs that are older: 7d, 12h, 30m");
  clean_cmd->add_flag("--dry-run", clean->dry_run, "say what would be removed");
  return [json, clean, clean_cmd] {
    return clean_cmd->parsed() ? runs_clean_command(*clean) : runs_command(*json);
  };
}

constexpr Verb kRecordVerbs[] = {
    {"list", "list the tests of spec files", add_list},
    {"show", "print a test's resolved attributes, each with the line that sets it", add_show},
    {"log", "print the events of a recorded run", add_log},
    {"watch", "print the events of a live run, from the first one on", add_watch},
    {"attach", "add a command's output to a live run", add_attach},
    {"replay", "print the report of a recorded run from its log", add_replay},
    {"explain", "say why a scheduler or kernel crashed, from any log or paste", add_explain},
    {"triage", "group the crashes of any number of logs and texts by signature", add_triage},
    {"pin", "propose a pin (expect_scx_bpf_error_…) for a recorded crash, and check it", add_pin},
    {"merge", "combine several runs, from their logs, into one summary, exit code and set of documents",
     add_merge},
    {"bundle", "pack a recorded run for a bug report: reports, log, state, versions; --redact", add_bundle},
    {"runs", "list live and kept runs; runs clean removes kept ones", add_runs},
};

}  // namespace

std::span<const Verb> record_verbs() { return kRecordVerbs; }

}  // namespace ktstr
