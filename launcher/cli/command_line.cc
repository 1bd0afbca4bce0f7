#include "launcher/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/result.h"
#include "base/text.h"
#include "launcher/cli/pin_command.h"
#include "launcher/run/folders.h"
#include "schemas/exit_code.h"
#include "version.h"

namespace ktstr {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 all passed, 1 a test failed, 2 bad command line or spec, 3 infrastructure failure,\n"
    "4 inconclusive, 5 no test selected, 6 bad -E expression, 130/143 interrupted.\n";

void add_print_options(CLI::App& command, EventPrintOptions& print) {
  command.add_flag("--json", print.json, "one JSON object a line");
  command.add_option("--type", print.types, "only these event types (ConsoleLine, …)");
  command.add_option("--source", print.sources, "only these sources (guest, monitor, …)");
  command.add_option("--vm", print.vms, "only these VMs (Host, Primary, Repro)");
  command.add_option("--from", print.from_s, "seconds since the run's start");
  command.add_option("--to", print.to_s, "seconds since the run's start");
}

}  // namespace

int report_error(const Error& error, int code) {
  // A message of several lines (all errors of a spec) is kept as it is.
  std::string text = error.to_string();
  size_t begin = 0;
  bool first = true;
  while (begin <= text.size()) {
    size_t end = std::min(text.find('\n', begin), text.size());
    std::fprintf(stderr, "%s%s\n", first ? "error: " : "",
                 printable(text.substr(begin, end - begin)).c_str());
    first = false;
    begin = end + 1;
  }
  return code;
}

std::string env_value(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string program_folder() {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "." : self.parent_path().string();
}

FolderOptions folder_options() {
  return {.out = "",
          .state_home = env_value("XDG_STATE_HOME"),
          .home = env_value("HOME"),
          .runtime_dir = env_value("XDG_RUNTIME_DIR"),
          .run_id = ""};
}

int launch_main(int argc, char** argv) {
  CLI::App app("ktstr: find out why a scheduler failed", "ktstr-launch");
  app.set_version_flag("--version", std::string("ktstr ") + kVersion);
  app.require_subcommand(1);
  app.footer(kFooter);

  RunCommandOptions run;
  run.command.assign(argv, argv + argc);
  auto* run_cmd = app.add_subcommand("run", "run the tests of spec files");
  run_cmd->add_option("SPEC", run.specs, "test specs (TOML), folders of them, test binaries")->required();
  run_cmd
      ->add_option(
          "-E,--filter", run.filters,
          "run only the tests that match: test(name), test(=exact), test(/regex/), kernel(7.2), and, or, "
          "not; several: a test may match any")
      ->allow_extra_args(false);
  run_cmd
      ->add_option("--kernel", run.kernels,
                   "cached series or release, image, or built source tree; several: each test runs on each "
                   "(default: KTSTR_KERNEL, else the newest cached)")
      ->allow_extra_args(false);
  run_cmd->add_flag("--no-skips", run.no_skips, "fail the run if a test is skipped");
  run_cmd->add_option("--accel", run.accel, "auto, kvm (an error without KVM) or tcg (software emulation)")
      ->capture_default_str();
  run_cmd->add_option("--out", run.out, "folder for logs and reports");
  run_cmd->add_option("--listen", run.listen,
                      "tcp://HOST:PORT: let remote clients with a key watch and add (PORT and the next two)");
  run_cmd->add_flag("--embed", run.embed,
                    "put scheduler, libraries, payloads and spec into the log, for `repro` on another host");
  run_cmd->add_option("--keys", run.keys,
                      "with --listen: key folder (default: ~/.config/ktstr/keys; keygen makes it)");
  run_cmd->add_option("--scheduler-dir", run.scheduler_dirs, "search scheduler binaries here too");
  run_cmd->add_option("--repro-tries", run.repro_tries, "number of repro VMs to boot after a crash")
      ->check(CLI::Range(1, 100));
  run_cmd->add_option("--repro-history", run.repro_history, "number of calls of each probed function to show")
      ->check(CLI::Range(1, 64));
  run_cmd
      ->add_option("--boot-timeout", run.boot_timeout_s,
                   "seconds that a silent boot may take, scaled by the host's speed (default 60)")
      ->check(CLI::Range(1.0, 86400.0));
  run_cmd->add_flag("-q,--quiet", run.quiet, "print no progress");

  ReproCommandOptions repro;
  repro.run.command.assign(argv, argv + argc);
  auto* repro_cmd = app.add_subcommand(
      "repro", "repeat a recorded crash: boot only the repro VM, from a log (run --embed)");
  repro_cmd->add_option("LOG", repro.log, "events.ktlog")->required();
  repro_cmd
      ->add_option("--kernel", repro.run.kernels,
                   "image or source tree of the same release (default: the cached one)")
      ->expected(1);
  repro_cmd->add_option("--accel", repro.run.accel, "auto, kvm or tcg")->capture_default_str();
  repro_cmd->add_option("--out", repro.run.out, "folder for the new log and report");
  repro_cmd->add_option("--boot-timeout", repro.run.boot_timeout_s, "as in run")
      ->check(CLI::Range(1.0, 86400.0));
  repro_cmd->add_flag("-q,--quiet", repro.run.quiet, "print no progress");

  KernelCommandOptions kernel;
  auto* kernel_cmd = app.add_subcommand("kernel", "fetch and list kernels");
  kernel_cmd->require_subcommand(1);
  auto* fetch_cmd = kernel_cmd->add_subcommand(
      "fetch", "fetch a sched_ext kernel from the distribution's archive into the cache");
  fetch_cmd->add_option("SERIES", kernel.series, "7.2, 6.18, … (default: the newest)");
  fetch_cmd->add_flag("--debuginfo", kernel.debuginfo, "fetch vmlinux too, for source lines (350 MB)");
  fetch_cmd->add_flag("--refresh", kernel.refresh, "fetch also if the series is cached");
  auto* list_cmd = kernel_cmd->add_subcommand("list", "list the cached kernels");
  list_cmd->add_flag("--available", kernel.available, "list the kernels of the archive");

  LogCommandOptions log;
  auto* log_cmd = app.add_subcommand("log", "print the events of a recorded run");
  log_cmd->add_option("LOG", log.log, "events.ktlog")->required();
  add_print_options(*log_cmd, log.print);

  WatchCommandOptions watch;
  auto* watch_cmd = app.add_subcommand("watch", "print the events of a live run, from the first on");
  watch_cmd->add_option("RUN", watch.run, "a run id, a part of one, or latest")->capture_default_str();
  watch_cmd->add_option("--connect", watch.connect,
                        "tcp://HOST:PORT: a run on another machine (run --listen)");
  watch_cmd->add_option("--key", watch.key, "with --connect: the client's key file (keygen)");
  add_print_options(*watch_cmd, watch.print);

  KeygenCommandOptions keygen;
  auto* keygen_cmd =
      app.add_subcommand("keygen", "make a key for a remote client (and the server's, the first time)");
  keygen_cmd->add_option("--out", keygen.out, "key folder (default: ~/.config/ktstr/keys)");
  keygen_cmd->add_option("--name", keygen.name, "the client's name")->capture_default_str();

  ListCommandOptions list;
  auto* tests_cmd = app.add_subcommand("list", "list the tests of spec files");
  tests_cmd->add_option("SPEC", list.specs, "test specs (TOML), folders of them, test binaries")->required();
  tests_cmd->add_option("-E,--filter", list.filters, "only these tests")->allow_extra_args(false);
  tests_cmd->add_option("--kernel", list.kernels, "as in run")->allow_extra_args(false);
  tests_cmd->add_flag("--json", list.json, "as JSON");
  ShowCommandOptions show;
  auto* show_cmd =
      app.add_subcommand("show", "print a test's resolved attributes, each with the line that sets it");
  show_cmd->add_option("TEST", show.test, "the test's name")->required();
  show_cmd->add_option("SPEC", show.specs, "test specs (TOML), folders of them, test binaries")->required();
  ReplayCommandOptions replay;
  auto* replay_cmd = app.add_subcommand("replay", "print the report of a recorded run from its log");
  replay_cmd->add_option("LOG", replay.log, "events.ktlog")->required();
  replay_cmd->add_option("--format", replay.format, "text, json, junit, md, github or ktap")
      ->capture_default_str();
  replay_cmd->add_option("--until", replay.until, "use only the events up to this number");
  replay_cmd->add_flag("--bus", replay.bus,
                       "publish the events on a bus, for collectors and tools (`runs` lists it)");
  replay_cmd->add_option("--speed", replay.speed, "with --bus: factor on the recorded speed, or max")
      ->capture_default_str();
  replay_cmd->add_option("--wait", replay.wait, "with --bus: number of subscribers to wait for")
      ->capture_default_str();
  replay_cmd
      ->add_option("--linger", replay.linger_s, "with --bus: seconds that the bus stays after the last event")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();

  PinCommandOptions pin;
  auto* pin_cmd =
      app.add_subcommand("pin", "propose a pin (expect_scx_bpf_error_…) for a recorded crash, and prove it");
  pin_cmd->add_option("LOG", pin.log, "events.ktlog")->required();

  bool runs_json = false;
  auto* runs_cmd = app.add_subcommand("runs", "list live runs");
  runs_cmd->add_flag("--json", runs_json, "as JSON");
  AttachCommandOptions attach;
  auto* attach_cmd = app.add_subcommand("attach", "add a command's output to a live run");
  attach_cmd->add_option("RUN", attach.run, "a run id, a part of one, latest, or tcp://HOST:PORT")
      ->required();
  attach_cmd->add_option("--key", attach.key, "with tcp://: the client's key file (keygen)");
  attach_cmd->add_option("--name", attach.name, "name of the source, shown in the report")->required();
  attach_cmd->add_flag("--guest", attach.guest,
                       "run the command in the VM; the program and its libraries are copied there");
  attach_cmd
      ->add_option("--vm", attach.vm, "with --guest: primary, or repro (waits until auto-repro boots it)")
      ->check(CLI::IsMember({"primary", "repro"}))
      ->capture_default_str();
  attach_cmd->add_option("CMD", attach.command, "the command and its arguments, after --")->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : exit_code(ExitCode::kUsage);
  }
  if (run_cmd->parsed()) return run_command(run);
  if (repro_cmd->parsed()) return repro_command(repro);
  if (pin_cmd->parsed()) return pin_command(pin);
  if (tests_cmd->parsed()) return list_command(list);
  if (show_cmd->parsed()) return show_command(show);
  if (replay_cmd->parsed()) return replay_command(replay);
  if (runs_cmd->parsed()) return runs_command(runs_json);
  if (attach_cmd->parsed()) return attach_command(attach);
  if (log_cmd->parsed()) return log_command(log);
  if (watch_cmd->parsed()) return watch_command(watch);
  if (keygen_cmd->parsed()) return keygen_command(keygen);
  if (fetch_cmd->parsed()) return kernel_fetch_command(kernel);
  if (list_cmd->parsed()) return kernel_list_command(kernel);
  return exit_code(ExitCode::kUsage);
}

}  // namespace ktstr
