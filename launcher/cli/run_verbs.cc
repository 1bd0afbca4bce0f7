// Verbs that boot VMs: run, sweep, shell, repro, demo.
#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "base/result.h"
#include "launcher/cli/shell_command.h"
#include "launcher/cli/verbs.h"
#include "launcher/search/bisection.h"
#include "schemas/exit_code.h"
#include "schemas/limits.h"

namespace ktstr {
namespace {

// Ways out, for what no attribute says.
void add_raw_options(CLI::App& command, RunCommandOptions& options) {
  command
      .add_option("--qemu-arg", options.qemu_args,
                  "add a word to QEMU's command line; repeat it for each word (--qemu-arg=-device "
                  "--qemu-arg=pvpanic). The report names it")
      ->allow_extra_args(false);
  command
      .add_option("--kernel-arg", options.kernel_args,
                  "add a word to the kernel's command line; repeat it for each word. The report names it")
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
      .add_flag("--until-fail", options.until_fail,
                "with --repeat: do not run a test again once it has failed")
      ->needs(repeat);
  command.add_flag("--fail-fast", options.fail_fast, "start no further test after one that did not pass");
  command.add_flag("--failed", options.failed,
                   "only the tests that did not pass in the last runs in this folder");
  command
      .add_option("--timeout", options.timeout_s,
                  "end a test after this many seconds, its repro VMs included")
      ->check(CLI::Range(1.0, 1e6));
  command
      .add_option("--slow-timeout", options.slow_s,
                  "mark a test as slow when it takes this many seconds longer than its own duration")
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
      "folder of earlier runs: the report of a crash says how often it was seen there, and in the runs kept "
      "on this machine");
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
      .add_option(
          "--repro-probes", options->repro_probes,
          "what the repro VM's probes record: full (returns and values of every function) or light (those of "
          "the crash chain only; slows the workload less). Default: light when the kernel's backtrace gives "
          "the chain")
      ->check(CLI::IsMember({"light", "full"}));
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
                   "let the VM wait for gdb before it boots, and print the line to paste; one test only");
  add_raw_options(command, *options);
  add_runner_options(command, *options);
  command.add_flag("-q,--quiet", options->quiet, "print no progress");
  command.add_flag(
      "--deterministic", options->deterministic,
      "same seed, same run: emulated time, and the host does not affect the guest (docs/determinism.md)");
  command
      .add_option("--seed", options->seed,
                  "with --deterministic: seed of all random numbers; any seed but 0 also perturbs the run")
      ->needs("--deterministic")
      ->capture_default_str();
  command.add_option("--strategy", options->strategy, "with --seed: random or few (docs/determinism.md)")
      ->needs("--seed")
      ->capture_default_str();
  command
      .add_option("--drop", options->drop,
                  "with --seed: leave out these perturbations: speed, turns, attach, start, window:N, "
                  "separated by commas")
      ->needs("--seed");
  auto bisect_exit = std::make_shared<bool>(false);
  command.add_flag(kBisectExit, *bisect_exit,
                   "exit codes for `git bisect run`: 0 good, 1 bad, 125 skip, 129 stop (wrong command line)");
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
  command.footer(
      "Exit code: that of the shell or the command, or 128 and the signal that ended it. With a line error: "
      "... on stderr:\n"
      "2 bad command line, missing files; 3 no VM or no scheduler; 130/143 interrupted; 141 nobody reads the "
      "output.\n");
  RunCommandOptions& run = options->run;
  run.command = argv;
  command.add_option("TEST", options->test, "boot this test's VM (default: a plain VM)");
  command.add_option("SPEC", run.specs,
                     "the specs that hold the test (TOML), folders of them, test binaries");
  command.add_option("--exec", options->command,
                     "run this command with sh -c, without a terminal; its output and exit code become those "
                     "of ktstr-launch");
  command.add_flag("--with-scheduler", options->with_scheduler, "start the test's scheduler first");
  command
      .add_option(
          "--with", options->bring,
          "copy this program or file of the host, with its libraries, to the same path in the VM; repeat it")
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

constexpr Verb kRunVerbs[] = {
    {"run", "run the tests of spec files", add_run},
    {"sweep", "try each scheduler of a spec on several kernels and topologies: verify, attach, dispatch",
     add_sweep},
    {"shell", "open a terminal in a test's VM, or run one command in it (--exec)", add_shell},
    {"repro",
     "repeat a recorded crash in a repro VM, from its log; on another host the log needs run --embed",
     add_repro},
    {"demo", "crash a small scheduler and print the report; fetches a kernel if none is cached", add_demo},
};

}  // namespace

std::span<const Verb> run_verbs() { return kRunVerbs; }

}  // namespace ktstr
