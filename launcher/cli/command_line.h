// The command line of ktstr-launch: verbs and their options. Each verb is one function in a file of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "spec/topologies.h"

namespace ktstr {

// Parses and runs; the process's exit code (schemas/exit_code.h).
int launch_main(int argc, char** argv);

struct KernelCommandOptions {
  std::string series;                     // fetch: "7.2", a release, or empty
  bool debuginfo = false;                 // fetch
  bool refresh = false;                   // fetch
  bool available = false;                 // list: what the archive offers
  size_t keep = 1;                        // clean: releases of each series
  std::string tree;                       // build
  std::string fragment;                   // build: --kconfig
  std::string base = "x86_64_defconfig";  // build
  unsigned jobs = 0;                      // build; 0: one per CPU
  bool configure_only = false;            // build
};
int kernel_build_command(const KernelCommandOptions& options);
int kernel_fetch_command(const KernelCommandOptions& options);
int kernel_list_command(const KernelCommandOptions& options);
int kernel_clean_command(const KernelCommandOptions& options);
// --kernel 6.16..7.3: the cached series in between, in the place of the range.
Status expand_ranges(std::vector<std::string>& kernels);

int template_list_command();
int template_clean_command();
// The documents that are made of a whole run: of all its tests, from their logs. Empty: none of that kind; "-": on stdout.
struct DocumentOptions {
  std::string junit, json, ktap, markdown;
  std::string html;  // a folder

  bool any() const {
    return !junit.empty() || !json.empty() || !ktap.empty() || !markdown.empty() || !html.empty();
  }
};

struct RunCommandOptions {
  std::vector<std::string> specs;
  std::vector<std::string> filters;  // -E: a test that one of them selects
  std::vector<std::string> kernels;  // --kernel
  bool no_build = false;
  bool no_skips = false;
  std::string accel = "auto";
  std::string out;
  std::vector<std::string> scheduler_dirs;
  std::string listen, keys;               // tcp://HOST:PORT for remote clients, and the key folder
  std::vector<std::string> known;         // folders of earlier runs, to count the same crash in
  bool embed = false;                     // the log holds scheduler, payloads and spec, for `repro` elsewhere
  double boot_timeout_s = 0;              // 0: the default
  std::vector<NamedTopology> topologies;  // --topologies
  uint32_t repro_tries = 0;               // 0: as the spec says
  uint32_t repro_history = 0;             // 0: as the spec says
  std::string repro_probes;               // "light", "full"; empty: as the spec says
  std::string jobs = "1";                 // a number, or auto
  uint32_t retries = 0;
  uint32_t repeat = 1;
  bool until_fail = false;
  bool fail_fast = false;
  bool failed = false;              // only what did not pass in the last runs here
  double timeout_s = 0;             // of one try of one test; 0: none
  double slow_s = 60;               // beyond its own duration a test is then marked as slow
  std::optional<uint64_t> shuffle;  // seed
  std::string partition;            // count:K/N, hash:K/N
  DocumentOptions documents;
  double sweep_s = 0;                      // sweep: duration of each cell's workload; 0: no sweep
  std::string sweep_json, sweep_markdown;  // files for its table; empty: none; "-": stdout
  bool quiet = false;
  bool no_template = false;                         // every VM boots
  bool deterministic = false;                       // docs/determinism.md
  uint64_t seed = 0;                                // with deterministic
  std::string strategy = "random";                  // with a seed: how it perturbs
  std::string drop;                                 // with a seed: perturbations to do without
  std::string keep_dump;                            // empty: no, "panic", "always"
  bool gdb = false;                                 // the VM waits for gdb
  std::vector<std::string> qemu_args, kernel_args;  // added to the command lines of QEMU and of the kernel
  std::vector<std::string> command;                 // our argv, for the record
};
int run_command(const RunCommandOptions& options);

struct EventPrintOptions {
  bool json = false;
  std::vector<std::string> types, sources, vms;  // empty: all
  double from_s = 0, to_s = 1e18;                // host time since the run's start
};
struct ReproCommandOptions {
  std::string log;        // of the run whose crash is to be repeated
  RunCommandOptions run;  // kernel, accel, out, quiet, boot_timeout_s
};
int repro_command(const ReproCommandOptions& options);

// pin LOG: prints a pin for the crash that the log records, as lines for a spec's [[test]].
struct PinCommandOptions {
  std::string log;
};
int pin_command(const PinCommandOptions& options);

struct LogCommandOptions {
  std::string log;
  bool normalised = false;  // the stream and its hash (schemas/normalised_stream.h), instead of the events
  EventPrintOptions print;
};
int log_command(const LogCommandOptions& options);

struct WatchCommandOptions {
  std::string run = "latest";  // run id, part of one, "latest"
  std::string connect, key;    // or a remote bus, and the client's key file
  EventPrintOptions print;
};
int watch_command(const WatchCommandOptions& options);

struct KeygenCommandOptions {
  std::string out;  // key folder; empty: key_folder()
  std::string name = "client";
};
int keygen_command(const KeygenCommandOptions& options);
// $XDG_CONFIG_HOME/ktstr/keys, ~/.config/ktstr/keys.
std::string key_folder();

struct ListCommandOptions {
  std::vector<std::string> specs;
  std::vector<std::string> kernels;
  std::vector<NamedTopology> topologies;
  std::vector<std::string> filters;
  bool json = false;
};
int list_command(const ListCommandOptions& options);

struct ShowCommandOptions {
  std::string test;
  std::vector<std::string> specs;
};
int show_command(const ShowCommandOptions& options);

struct ReplayCommandOptions {
  std::vector<std::string> logs;  // or folders of runs
  DocumentOptions documents;
  std::string format;  // empty: text, or nothing beside documents
  uint64_t until = 0;  // 0: the whole log
  bool bus = false;    // on a live bus, instead of a report
  std::string speed = "1";
  unsigned wait = 0;
  double linger_s = 5;
  bool vm = false;         // the VM of a deterministic run again, looked at from outside at these times
  std::vector<double> at;  // seconds, as on the report's timeline
  std::string gdb;         // socket for gdb; the VM is stopped at the last time; empty: it goes on
  std::string out;         // folder of the new log and report
};
// launcher/cli/replay_vm.cc
int replay_vm(const ReplayCommandOptions& options);
int replay_command(const ReplayCommandOptions& options);

// merge DIR…: one summary, exit code and documents of any number of runs, from their logs.
struct MergeCommandOptions {
  std::vector<std::string> paths;
  DocumentOptions documents;
};
int merge_command(const MergeCommandOptions& options);

// bundle LOG: what a bug report needs of a run, in one .tar.zst.
struct BundleCommandOptions {
  std::string log;
  std::string out;  // empty: TEST.ktstr.tar.zst here
  bool redact = false;
};
int bundle_command(const BundleCommandOptions& options);

int doctor_command();

// The demo's crash: 0 when it was found. `options`: as of run; specs: filled in.
int demo_command(RunCommandOptions options);
// A kernel is cached.
bool any_kernel();

struct AttachCommandOptions {
  std::string run;   // run id, part of one, "latest"
  std::string name;  // source name of the lines
  std::vector<std::string> command;
  bool guest = false;              // run it in the VM
  std::string key;                 // of a run elsewhere: `run` is tcp://HOST:PORT
  std::string vm = "primary";      // with guest: which VM
  bool metrics = false;            // its lines hold numbers
  std::vector<std::string> fetch;  // with guest: PATH or PATH=LOCAL, brought out after the command's end
  std::vector<std::string> files;  // with guest: files of this host that the command needs there
};
int attach_command(const AttachCommandOptions& options);
int runs_command(bool json);

struct RunsCleanOptions {
  std::optional<uint64_t> keep;
  std::string older;
  bool dry_run = false;
};
int runs_clean_command(const RunsCleanOptions& options);

// "error: MESSAGE" and its hint on stderr; returns `code`.
int report_error(const class Error& error, int code);
// An environment variable, empty when unset.
std::string env_value(const char* name);
// The folders of runs and their files, from the environment.
struct FolderOptions folder_options();
// The folder of our own programs.
std::string program_folder();

}  // namespace ktstr
