#include "launcher/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "base/result.h"
#include "base/standard_fds.h"
#include "base/text.h"
#include "base/wording.h"
#include "launcher/cli/bisect_command.h"
#include "launcher/cli/command_tables.h"
#include "launcher/cli/explain_command.h"
#include "launcher/cli/explore_command.h"
#include "launcher/cli/minimize_command.h"
#include "launcher/cli/shell_command.h"
#include "launcher/run/folders.h"
#include "launcher/search/bisection.h"
#include "schemas/exit_code.h"
#include "schemas/limits.h"
#include "version.h"

namespace ktstr {
namespace {

constexpr char kFooter[] =
    "Exit codes: 0 all passed, 1 a test failed, 2 bad command line or spec, 3 infrastructure failure,\n"
    "4 inconclusive, 5 no test selected, 6 bad -E expression, 130/143 interrupted.\n";

constexpr char kBisectExit[] = "--bisect-exit";

void add_print_options(CLI::App& command, EventPrintOptions& print) {
  command.add_flag("--json", print.json, "one JSON object a line");
  command.add_option("--type", print.types, "only these event types (ConsoleLine, …)");
  command.add_option("--source", print.sources, "only these sources (guest, monitor, …)");
  command.add_option("--vm", print.vms, "only these VMs (Host, Primary, Repro)");
  command.add_option("--from", print.from_s, "seconds since the run's start");
  command.add_option("--to", print.to_s, "seconds since the run's start");
}

using Argv = std::vector<std::string>;
using Runner = std::function<int()>;  // the process's exit code

struct Verb {
  const char* name;
  const char* help;
  // Adds the verb's options; what it returns owns them and runs the verb once they are parsed.
  Runner (*add)(CLI::App& command, const Argv& argv);
};

// What `run` and `list` make several tests of one by.
void add_axes(CLI::App& command, std::vector<std::string>& kernels, std::vector<NamedTopology>& topologies) {
  command
      .add_option("--kernel", kernels,
                  "cached series or release, range of cached series (6.16..7.3), image, or built source "
                  "tree; several: each "
                  "test runs on each (default: KTSTR_KERNEL, else the newest cached)")
      ->allow_extra_args(false);
  command.add_option_function<std::string>(
      "--topologies",
      [&topologies](const std::string& list) {
        auto picked = pick_topologies(list);
        if (!picked) throw CLI::ValidationError(picked.error().message(), picked.error().hint());
        topologies = std::move(*picked);
      },
      "run each test on each of these: all, small (up to 8 CPUs), or names: 1n2l4c1t,2n4l2c1t (NUMA nodes, "
      "LLCs, cores per LLC, "
      "threads per core)");
}

void add_html_option(CLI::App& command, DocumentOptions& documents) {
  command.add_option("--html", documents.html,
                     "write a page of all tests, index.html, into this folder: charts, logs, reports");
}

void add_document_options(CLI::App& command, DocumentOptions& documents) {
  command.add_option("--junit", documents.junit, "write JUnit XML of all tests to this file (-: stdout)");
  command.add_option("--json", documents.json, "write JSON to this file, a line a test (docs/formats.md)");
  command.add_option("--ktap", documents.ktap, "write kernel TAP to this file");
  command.add_option("--markdown", documents.markdown, "write Markdown to this file");
  add_html_option(command, documents);
}

// Ways out, for what no attribute says.
void add_raw_options(CLI::App& command, RunCommandOptions& options) {
  command
      .add_option("--qemu-arg", options.qemu_args,
                  "one more word for QEMU's command line; repeat it for each word (--qemu-arg=-device "
                  "--qemu-arg=pvpanic). The report names it")
      ->allow_extra_args(false);
  command
      .add_option("--kernel-arg", options.kernel_args,
                  "one more word for the kernel's command line; repeat it. The report names it")
      ->allow_extra_args(false);
}

void add_runner_options(CLI::App& command, RunCommandOptions& options) {
  command
      .add_option("-j,--jobs", options.jobs,
                  "number of tests to run at the same time, or auto: by CPUs, accelerator and memory")
      ->capture_default_str();
  auto* retries =
      command
          .add_option("--retries", options.retries,
                      "try a test that failed, or had no verdict, up to N more times; one that then "
                      "passes is flaky, and passes")
          ->check(CLI::Range(0u, 99u));
  auto* repeat =
      command.add_option("--repeat", options.repeat, "run each test N times and print how often it fails")
          ->check(CLI::Range(1u, 100'000u))
          ->excludes(retries);
  command
      .add_flag("--until-fail", options.until_fail, "with --repeat: run a test no more once it has failed")
      ->needs(repeat);
  command.add_flag("--fail-fast", options.fail_fast, "start no further test once one did not pass");
  command.add_flag("--failed", options.failed,
                   "only the tests that did not pass in the last runs in this folder");
  command
      .add_option("--timeout", options.timeout_s, "seconds that one test may take, its repro VMs included")
      ->check(CLI::Range(1.0, 1e6));
  command
      .add_option("--slow-timeout", options.slow_s,
                  "mark a test as slow when it takes so many seconds beyond its own duration")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command.add_option("--shuffle", options.shuffle, "run the tests in the order that this seed gives");
  command.add_option("--partition", options.partition,
                     "run one part of the tests: count:K/N (every Nth), hash:K/N (by name)");
  add_document_options(command, options.documents);
}

Runner add_run(CLI::App& command, const Argv& argv) {
  auto options = std::make_shared<RunCommandOptions>();
  options->command = argv;
  command.add_option("SPEC", options->specs, "test specs (TOML), folders of them, test binaries")->required();
  command
      .add_option(
          "-E,--filter", options->filters,
          "run only the tests that match: test(name), test(=exact), test(/regex/), kernel(7.2), and, or, "
          "not; given several times, a test runs if it matches one of them")
      ->allow_extra_args(false);
  add_axes(command, options->kernels, options->topologies);
  command.add_flag("--no-build", options->no_build, "do not run the specs' `build` commands");
  command.add_flag("--no-skips", options->no_skips, "fail the run if a test is skipped");
  command
      .add_option("--accel", options->accel, "auto, kvm (an error without KVM) or tcg (software emulation)")
      ->capture_default_str();
  command.add_option("--out", options->out, "folder for logs and reports");
  command.add_option("--listen", options->listen,
                     "tcp://HOST:PORT: remote clients that have a key can read events and add their own "
                     "(uses PORT, PORT+1, PORT+2)");
  command.add_flag(
      "--embed", options->embed,
      "put scheduler, libraries, payloads, files and spec into the log, for `repro` on another host");
  command.add_option(
      "--known", options->known,
      "folder of earlier runs: the report of a crash says how often it was seen there (the runs kept on "
      "this machine count always)");
  command.add_option("--keys", options->keys,
                     "with --listen: key folder (default: ~/.config/ktstr/keys; keygen makes it)");
  command.add_option("--scheduler-dir", options->scheduler_dirs, "search scheduler binaries here too");
  command.add_option("--repro-tries", options->repro_tries, "number of repro VMs to boot after a crash")
      ->check(CLI::Range(1u, kMaxReproTries));
  command
      .add_option("--repro-history", options->repro_history,
                  "number of calls of each probed function to show")
      ->check(CLI::Range(1u, kMaxReproHistory));
  command
      .add_option("--boot-timeout", options->boot_timeout_s,
                  "seconds that a silent boot may take, scaled by the host's speed (default 60)")
      ->check(CLI::Range(1.0, 86400.0));
  command.add_flag("--no-template", options->no_template,
                   "boot every VM instead of restoring it from a template");
  command
      .add_flag("--keep-dump{panic}", options->keep_dump,
                "keep the memory of a VM that dies or hangs as an ELF core beside its log, for gdb and crash "
                "(--keep-dump=always: of every VM, when it ends)")
      ->check(CLI::IsMember({"panic", "always"}));
  command.add_flag("--gdb", options->gdb,
                   "the VM waits for gdb before it boots: prints the line to paste; one test only");
  add_raw_options(command, *options);
  add_runner_options(command, *options);
  command.add_flag("-q,--quiet", options->quiet, "print no progress");
  command.add_flag(
      "--deterministic", options->deterministic,
      "same seed, same course: emulated time, nothing of the host enters the guest (docs/determinism.md)");
  command
      .add_option("--seed", options->seed,
                  "with --deterministic: of all random numbers; other than 0 it also perturbs the course")
      ->needs("--deterministic")
      ->capture_default_str();
  command.add_option("--strategy", options->strategy, "with --seed: random or few (docs/determinism.md)")
      ->needs("--seed")
      ->capture_default_str();
  command
      .add_option(
          "--drop", options->drop,
          "with --seed: perturbations to do without: speed, turns, attach, start, window:N, apart by commas")
      ->needs("--seed");
  auto bisect_exit = std::make_shared<bool>(false);
  command.add_flag(
      kBisectExit, *bisect_exit,
      "exit as `git bisect run` wants it: 0 good, 1 bad, 125 not to be judged, 129 a wrong command line");
  return [options, bisect_exit] {
    int code = kUsage;
    if (auto s = expand_ranges(options->kernels); !s)
      report_error(s.error(), kUsage);
    else
      code = run_command(*options);
    return *bisect_exit ? git_bisect_code(code) : code;
  };
}

Runner add_sweep(CLI::App& command, const Argv& argv) {
  auto options = std::make_shared<RunCommandOptions>();
  options->command = argv;
  options->sweep_s = 2;
  command
      .add_option("SPEC", options->specs,
                  "spec files (TOML) with [scheduler.NAME] blocks; their tests are not run")
      ->required();
  command.add_option("-E,--filter", options->filters, "only these cells: test(/^lavd/), kernel(7.2), …")
      ->allow_extra_args(false);
  add_axes(command, options->kernels, options->topologies);
  command.add_option("--duration", options->sweep_s, "seconds that the spinners of each cell run")
      ->check(CLI::Range(0.5, 3600.0))
      ->capture_default_str();
  command.add_flag("--no-build", options->no_build, "as in run");
  command.add_option("--accel", options->accel, "as in run")->capture_default_str();
  command.add_option("--out", options->out, "folder for logs and reports");
  command.add_option("--scheduler-dir", options->scheduler_dirs, "as in run");
  command.add_option("-j,--jobs", options->jobs, "as in run")->capture_default_str();
  command.add_option("--retries", options->retries, "as in run")->check(CLI::Range(0u, 99u));
  command.add_option("--boot-timeout", options->boot_timeout_s, "as in run")->check(CLI::Range(1.0, 86400.0));
  command.add_flag("--no-template", options->no_template, "as in run");
  command.add_option("--json", options->sweep_json, "write the table as JSON to this file (-: stdout)");
  command.add_option("--markdown", options->sweep_markdown, "write the table as Markdown to this file");
  command.add_option("--junit", options->documents.junit,
                     "write JUnit XML to this file, a test for each cell");
  add_html_option(command, options->documents);
  command.add_flag("-q,--quiet", options->quiet, "print no progress");
  return [options] {
    if (options->topologies.empty()) options->topologies = {NamedTopology{.cores = 4}};
    if (auto s = expand_ranges(options->kernels); !s)
      return report_error(s.error(), exit_code(ExitCode::kUsage));
    return run_command(*options);
  };
}

Runner add_shell(CLI::App& command, const Argv& argv) {
  auto options = std::make_shared<ShellCommandOptions>();
  RunCommandOptions& run = options->run;
  run.command = argv;
  command.add_option("TEST", options->test, "the test whose VM it is (default: a plain VM)");
  command.add_option("SPEC", run.specs, "the specs that hold it (TOML), folders of them, test binaries");
  command.add_option("--exec", options->command,
                     "run this command with sh -c instead of a terminal: its output, errors and exit code");
  command.add_flag("--with-scheduler", options->with_scheduler, "start the test's scheduler first");
  command
      .add_option(
          "--with", options->bring,
          "program or file of this host that the VM gets, at its own path, with its libraries; repeat it")
      ->allow_extra_args(false);
  command.add_option("--kernel", run.kernels, "as in run")->expected(1);
  command.add_option(
      "--topology", options->topology,
      "1n2l4c1t: NUMA nodes, LLCs, cores per LLC, threads per core (default: the test's, or 4 cores)");
  command.add_option("--memory", options->memory_mb, "MiB (default: the test's, or 1024)")
      ->check(CLI::Range(256u, 65536u));
  command.add_option("--accel", run.accel, "as in run")->capture_default_str();
  command.add_option("--out", run.out, "folder for console.txt and scheduler.txt (default: not kept)");
  command.add_option("--scheduler-dir", run.scheduler_dirs, "as in run");
  command.add_option("--boot-timeout", run.boot_timeout_s, "as in run")->check(CLI::Range(1.0, 86400.0));
  command.add_flag("--no-build", run.no_build, "as in run");
  command.add_flag("--no-template", run.no_template, "as in run");
  add_raw_options(command, run);
  command.add_flag("-q,--quiet", run.quiet, "print no progress");
  return [options] { return shell_command(*options); };
}

Runner add_repro(CLI::App& command, const Argv& argv) {
  auto options = std::make_shared<ReproCommandOptions>();
  options->run.command = argv;
  command.add_option("LOG", options->log, "events.ktlog")->required();
  command
      .add_option("--kernel", options->run.kernels,
                  "image or source tree of the same release (default: the cached one)")
      ->expected(1);
  command.add_option("--accel", options->run.accel, "auto, kvm or tcg")->capture_default_str();
  command.add_option("--out", options->run.out, "folder for the new log and report");
  command.add_option("--boot-timeout", options->run.boot_timeout_s, "as in run")
      ->check(CLI::Range(1.0, 86400.0));
  command.add_flag("--no-template", options->run.no_template, "as in run");
  command.add_flag("-q,--quiet", options->run.quiet, "print no progress");
  return [options] { return repro_command(*options); };
}

// What explore, minimize and bisect run: one test of a spec.
template <typename Options>
void add_search_options(CLI::App& command, Options& options) {
  command.add_option("-E,--filter", options.filters, "only this test")->allow_extra_args(false);
  command.add_option("--kernel", options.kernel, "as in run");
  command.add_option("--scheduler-dir", options.scheduler_dirs, "as in run");
}

Runner add_explore(CLI::App& command, const Argv&) {
  auto options = std::make_shared<ExploreCommandOptions>();
  command.add_option("SPEC", options->specs, "test specs (TOML)")->required();
  add_search_options(command, *options);
  command.add_option("--seeds", options->seeds, "a seed or a range of them")->capture_default_str();
  command.add_option("--strategy", options->strategy, "random or few (docs/determinism.md)")
      ->capture_default_str();
  command.add_option("--jobs", options->jobs, "VMs at a time")
      ->check(CLI::Range(1u, 256u))
      ->capture_default_str();
  command.add_flag("--until-fail", options->until_fail, "start no further seed once one has failed");
  command.add_flag(
      "--no-difference", options->no_difference,
      "do not look for the perturbations that the first failing seed needs (a run for each of them)");
  command.add_option("--out", options->out, "folder of the runs (default: one in the state folder)");
  return [options] { return explore_command(*options); };
}

Runner add_minimize(CLI::App& command, const Argv&) {
  auto options = std::make_shared<MinimizeCommandOptions>();
  command
      .add_option("LOG|SPEC", options->inputs,
                  "events.ktlog of a failing run, or specs (TOML) that fail: with --seed under that seed, "
                  "else plainly")
      ->required();
  add_search_options(command, *options);
  command.add_option("--seed", options->seed, "deterministic runs with this seed (default: as recorded)");
  command.add_option("--strategy", options->strategy, "with a seed: random or few (default: as recorded)");
  command
      .add_option("--tries,--seeds", options->tries,
                  "runs of each smaller spec before it counts as passing: with the failing seed and those "
                  "after it, or plain ones")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  command.add_option("--budget", options->budget_s, "seconds; then the smallest spec so far is printed")
      ->check(CLI::Range(1.0, 1e7))
      ->capture_default_str();
  command.add_option("--runs", options->runs, "at most so many runs (default: any number)");
  command.add_option("--out", options->out, "folder of the runs (default: one in the state folder)");
  command.add_option("--write", options->write,
                     "write the spec to this file (default: minimal.toml in the folder of the runs)");
  return [options] { return minimize_command(*options); };
}

Runner add_bisect(CLI::App& command, const Argv&) {
  auto options = std::make_shared<BisectCommandOptions>();
  command.add_option("SPEC", options->specs, "test specs (TOML)")->required();
  add_search_options(command, *options);
  command
      .add_option("--good", options->good,
                  "a commit, tag or branch; with --kernels a cached release or series")
      ->required();
  command.add_option("--bad", options->bad, "the same")->required();
  command.add_flag("--kernels", options->kernels,
                   "bisect the cached kernels; without it the commits, in a worktree, of the repository that "
                   "holds the spec");
  command.add_flag("--tags", options->tags, "of the commits only those that have a tag");
  command.add_option("--signature", options->signature, "the failure to look for (default: the bad end's)");
  command.add_option("--seed", options->seed, "deterministic runs with this seed");
  command.add_option("--strategy", options->strategy, "with --seed: random or few")
      ->needs("--seed")
      ->capture_default_str();
  command
      .add_option(
          "--tries,--seeds", options->tries,
          "runs of each, with the seed and those after it, or plain ones; one that fails makes it bad")
      ->check(CLI::Range(1u, 1000u))
      ->capture_default_str();
  command.add_option("--out", options->out, "folder of the runs (default: one in the state folder)");
  return [options] { return bisect_command(*options); };
}

Runner add_kernel(CLI::App& command, const Argv&) {
  auto options = std::make_shared<KernelCommandOptions>();
  command.require_subcommand(1);
  auto* fetch_cmd = command.add_subcommand(
      "fetch", "fetch a sched_ext kernel from the distribution's archive into the cache");
  fetch_cmd->add_option("SERIES", options->series, "7.2, 6.18, … (default: the newest)");
  fetch_cmd->add_flag("--debuginfo", options->debuginfo, "fetch vmlinux too, for source lines (350 MB)");
  fetch_cmd->add_flag("--refresh", options->refresh, "fetch also if the series is cached");
  auto* list_cmd = command.add_subcommand("list", "list the cached kernels");
  list_cmd->add_flag("--available", options->available, "list the kernels of the archive");
  auto* clean_cmd = command.add_subcommand("clean", "remove cached kernels");
  clean_cmd->add_option("--keep", options->keep, "keep the newest N releases of each series")
      ->capture_default_str();
  auto* build_cmd = command.add_subcommand(
      "build", "configure and build a source tree for ktstr; kept by commit and configuration");
  build_cmd->add_option("TREE", options->tree, "folder of the kernel's source, which stays as it is")
      ->required();
  build_cmd->add_option("--kconfig", options->fragment, "file of options: CONFIG_X=y, # CONFIG_Y is not set");
  build_cmd->add_option("--base", options->base, "configuration to start from: defconfig, tinyconfig, …")
      ->capture_default_str();
  build_cmd->add_option("-j,--jobs", options->jobs, "jobs of make (default: one per CPU)");
  build_cmd->add_flag("--configure-only", options->configure_only,
                      "say what the configuration becomes, and stop");
  return [options, fetch_cmd, clean_cmd, build_cmd] {
    if (build_cmd->parsed()) return kernel_build_command(*options);
    if (clean_cmd->parsed()) return kernel_clean_command(*options);
    return fetch_cmd->parsed() ? kernel_fetch_command(*options) : kernel_list_command(*options);
  };
}

Runner add_template(CLI::App& command, const Argv&) {
  command.require_subcommand(1);
  auto* list_cmd = command.add_subcommand("list", "list the templates, the one used last first");
  command.add_subcommand("clean", "remove all templates");
  return [list_cmd] { return list_cmd->parsed() ? template_list_command() : template_clean_command(); };
}

Runner add_log(CLI::App& command, const Argv&) {
  auto options = std::make_shared<LogCommandOptions>();
  command.add_option("LOG", options->log, "events.ktlog")->required();
  add_print_options(command, options->print);
  command.add_flag(
      "--normalised", options->normalised,
      "a deterministic run's stream, source by source, and its hash: the same text for the same seed");
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

Runner add_keygen(CLI::App& command, const Argv&) {
  auto options = std::make_shared<KeygenCommandOptions>();
  command.add_option("--out", options->out, "key folder (default: ~/.config/ktstr/keys)");
  command.add_option("--name", options->name, "the client's name")->capture_default_str();
  return [options] { return keygen_command(*options); };
}

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
  command.add_option("--speed", options->speed, "with --bus: factor on the recorded speed, or max")
      ->capture_default_str();
  command.add_option("--wait", options->wait, "with --bus: number of subscribers to wait for")
      ->capture_default_str();
  command
      .add_option("--linger", options->linger_s,
                  "with --bus: seconds that the bus stays after the last event")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  auto* vm =
      command.add_flag("--vm", options->vm,
                       "run the VM of a deterministic run again, the same course, and look at it at --at");
  command
      .add_option(
          "--at", options->at,
          "with --vm: seconds on the report's timeline; the queues are read at the first gate from then on")
      ->needs(vm)
      ->allow_extra_args(false);
  command
      .add_option("--gdb", options->gdb, "with --vm: stop the VM at the last --at, for gdb on this socket")
      ->needs("--at");
  command.add_option("--out", options->out, "with --vm: folder of the new log and report")->needs(vm);
  return [options] { return replay_command(*options); };
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
      "replace folders of the host, user names and host names in all of it; embedded files stay out");
  return [options] { return bundle_command(*options); };
}

Runner add_explain(CLI::App& command, const Argv&) {
  auto options = std::make_shared<ExplainCommandOptions>();
  command
      .add_option(
          "FILE", options->files,
          "dmesg, journal, scheduler output, a paste of them, gz/xz/zst, events.ktlog; -: standard input")
      ->required();
  command.add_flag("--json", options->json, "one JSON object a file (docs/explain.md)");
  command.add_option("--log", options->log, "keep lines and crashes as an event log");
  auto* kernel =
      command.add_option("--kernel", options->kernel,
                         "source lines from this kernel's debug info: series, release, image, built tree");
  command.add_option("--debuginfo", options->debuginfo, "source lines from this vmlinux (with DWARF)")
      ->excludes(kernel);
  return [options] { return explain_command(*options); };
}

Runner add_triage(CLI::App& command, const Argv&) {
  auto options = std::make_shared<TriageCommandOptions>();
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

Runner add_attach(CLI::App& command, const Argv&) {
  auto options = std::make_shared<AttachCommandOptions>();
  command.add_option("RUN", options->run, "a run id, a part of one, latest, or tcp://HOST:PORT")->required();
  command.add_option("--key", options->key, "with tcp://: the client's key file (keygen)");
  command.add_option("--name", options->name, "name of the source, shown in the report")->required();
  command.add_flag("--guest", options->guest,
                   "run the command in the VM; the program and its libraries are copied there");
  command
      .add_option("--vm", options->vm, "with --guest: primary, or repro (waits until auto-repro boots it)")
      ->check(CLI::IsMember({"primary", "repro"}))
      ->capture_default_str();
  command.add_flag(
      "--metrics", options->metrics,
      "its lines hold numbers (name=value words, or a JSON object): each name is a series in the report");
  command
      .add_option("--fetch", options->fetch,
                  "with --guest: bring this file of the guest here once the command has ended (PATH, or "
                  "PATH=LOCAL); repeat it")
      ->allow_extra_args(false);
  command
      .add_option(
          "--file", options->files,
          "with --guest: a file of this host that the command needs there, at the same path; repeat it")
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

Runner add_completions(CLI::App& command, const Argv&) {
  auto shell = std::make_shared<std::string>();
  command.add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  return [&command, shell] {
    std::fputs(completions(*command.get_parent(), *shell).c_str(), stdout);
    return 0;
  };
}

Runner add_man(CLI::App& command, const Argv&) {
  return [&command] {
    std::fputs(man_page(*command.get_parent()).c_str(), stdout);
    return 0;
  };
}

Runner add_demo(CLI::App& command, const Argv& argv) {
  auto options = std::make_shared<RunCommandOptions>();
  options->command = argv;
  command
      .add_option("--kernel", options->kernels, "as in run (default: the newest cached, else one is fetched)")
      ->allow_extra_args(false);
  command.add_option("--accel", options->accel, "as in run")->capture_default_str();
  command.add_option("--out", options->out, "folder for log and report");
  command.add_flag("-q,--quiet", options->quiet, "print no progress");
  return [options] { return demo_command(*options); };
}

Runner add_doctor(CLI::App&, const Argv&) {
  return [] { return doctor_command(); };
}

// Every verb: its name, its line in --help, and what adds its options.
constexpr Verb kVerbs[] = {
    {"run", "run the tests of spec files", add_run},
    {"sweep", "try each scheduler of a spec on kernels and topologies: verify, attach, dispatch", add_sweep},
    {"shell", "a terminal in a test's VM, or one command in it (--exec)", add_shell},
    {"repro", "repeat a recorded crash: boot only the repro VM, from a log (run --embed)", add_repro},
    {"explore", "run a test under many seeds, each a deterministic run, and count how it fails", add_explore},
    {"minimize", "make the spec of a failing run smaller, as long as it fails in the same way", add_minimize},
    {"bisect", "find the first kernel, or the first commit of a scheduler, under which a test fails",
     add_bisect},
    {"kernel", "fetch, build and list kernels", add_kernel},
    {"template", "list and remove the templates that VMs are restored from", add_template},
    {"log", "print the events of a recorded run", add_log},
    {"watch", "print the events of a live run, from the first on", add_watch},
    {"keygen", "make a key for a remote client (and the server's, the first time)", add_keygen},
    {"list", "list the tests of spec files", add_list},
    {"show", "print a test's resolved attributes, each with the line that sets it", add_show},
    {"replay", "print the report of a recorded run from its log", add_replay},
    {"explain", "say why a scheduler or kernel crashed, from any log or paste", add_explain},
    {"triage", "group the crashes of any number of logs and texts by signature", add_triage},
    {"pin", "propose a pin (expect_scx_bpf_error_…) for a recorded crash, and prove it", add_pin},
    {"merge", "print one summary, exit code and documents of several runs, from their logs", add_merge},
    {"bundle", "pack a recorded run for a bug report: reports, log, state, versions; --redact", add_bundle},
    {"runs", "list live runs and what is kept; runs clean removes kept ones", add_runs},
    {"attach", "add a command's output to a live run", add_attach},
    {"demo", "crash a small scheduler and print the report; fetches a kernel if none is cached", add_demo},
    {"doctor", "check this host, and print the command that mends each trouble", add_doctor},
    {"completions", "print a shell's completions: source <(ktstr-launch completions bash)", add_completions},
    {"man", "print the manual page: ktstr-launch man | man -l -", add_man},
};

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

namespace {

// Of this verb and the words that chose it.
CLI::App* parsed_command(CLI::App& app) {
  CLI::App* command = &app;
  for (auto chosen = command->get_subcommands(); !chosen.empty(); chosen = command->get_subcommands())
    command = chosen.front();
  return command;
}

std::vector<std::string> option_names(CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// A word that is no verb and no option: what was meant. nullopt: the error is another one.
std::optional<int> unknown_word(CLI::App& app, const Argv& words) {
  CLI::App* command = parsed_command(app);
  std::vector<std::string> verbs;
  for (const CLI::App* verb : command->get_subcommands([](const CLI::App*) { return true; }))
    verbs.push_back(verb->get_name());
  for (const std::string& word : command->remaining(false)) {
    if (word == "--") continue;
    const bool is_option = word.starts_with("-");
    if (!is_option && verbs.empty()) continue;
    const std::string name = word.substr(0, word.find('='));
    const std::string where = command == &app ? "" : command->get_name() + ": ";
    const std::string meant = closest(name, is_option ? option_names(*command) : verbs);
    return report_error(
        Error::invalid(where + "unknown " + (is_option ? "option " : "verb ") + name)
            .with_hint(meant.empty()
                           ? words[0] + " " + (command == &app ? "" : command->get_name() + " ") + "--help"
                           : "did you mean " + meant + "?"),
        kUsage);
  }
  return std::nullopt;
}

int run_verb(int argc, char** argv) {
  CLI::App app("ktstr: find out why a sched_ext scheduler failed", "ktstr-launch");
  app.set_version_flag("--version", std::string("ktstr ") + kVersion);
  app.require_subcommand(1);
  app.footer(kFooter);

  const Argv words(argv, argv + argc);
  std::vector<std::pair<CLI::App*, Runner>> verbs;
  for (const Verb& verb : kVerbs) {
    CLI::App* command = app.add_subcommand(verb.name, verb.help);
    verbs.emplace_back(command, verb.add(*command, words));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // git would take our code as a verdict on each commit.
    const int wrong =
        std::find(words.begin(), words.end(), kBisectExit) != words.end() ? kGitBisectStop : kUsage;
    if (e.get_exit_code() != 0 && unknown_word(app, words)) return wrong;
    return app.exit(e) == 0 ? 0 : wrong;
  }
  for (const auto& [command, run] : verbs)
    if (command->parsed()) return run();
  return kUsage;
}

}  // namespace

int launch_main(int argc, char** argv) {
  const int code = run_verb(argc, argv);
  auto closed = close_stdout();
  if (closed) return code;
  report_error(closed.error(), kInfra);
  return code == 0 ? kInfra : code;
}

}  // namespace ktstr
