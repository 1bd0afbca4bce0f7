#include "launcher/cli/shell_command.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "base/wording.h"
#include "launcher/cli/builds.h"
#include "launcher/cli/prepared_run.h"
#include "launcher/run/deadlines.h"
#include "launcher/run/folders.h"
#include "launcher/shell/shell_session.h"
#include "launcher/shell/terminal.h"
#include "launcher/vm/program_files.h"
#include "launcher/vm/topology_args.h"
#include "schemas/exit_code.h"
#include "schemas/guest_paths.h"
#include "schemas/plan_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr unsigned kPlainCpus = 4;

// Its name, or what is like no other name but has it as a part.
Result<LoadedTest> pick_test(std::vector<LoadedTest> tests, const std::string& wanted) {
  std::vector<std::string> names;
  std::vector<LoadedTest*> like;
  for (LoadedTest& test : tests) {
    if (test.spec.name == wanted) return std::move(test);
    names.push_back(test.spec.name);
    if (test.spec.name.find(wanted) != std::string::npos) like.push_back(&test);
  }
  if (like.size() == 1) return std::move(*like.front());
  if (like.size() > 1)
    return Error::invalid(wanted + ": " + std::to_string(like.size()) + " tests have this in their names")
        .with_hint("name one: " + like[0]->spec.name + ", " + like[1]->spec.name +
                   (like.size() > 2 ? ", …" : ""));
  const std::string meant = closest(wanted, names);
  return Error::not_found("no test is named " + wanted)
      .with_hint(meant.empty() ? "ktstr-launch list names the tests" : "did you mean " + meant + "?");
}

LoadedTest plain_vm() {
  LoadedTest test;
  test.spec.name = "shell";
  test.spec.topology = std::make_unique<TopologyT>();
  test.spec.topology->cores = kPlainCpus;
  return test;
}

Status shape(const ShellCommandOptions& options, TestSpecT& spec) {
  if (options.memory_mb != 0) spec.memory_mb = options.memory_mb;
  if (options.topology.empty()) return {};
  auto picked = pick_topologies(options.topology);
  if (!picked) return std::move(picked).error();
  if (picked->size() != 1) return Error::invalid("--topology takes one topology: 1n2l4c1t");
  const NamedTopology& wanted = picked->front();
  spec.topology->numa_nodes = wanted.numa_nodes;
  spec.topology->llcs = wanted.llcs;
  spec.topology->cores = wanted.cores;
  spec.topology->threads = wanted.threads;
  return {};
}

// The test, with its binaries; or a plain VM.
Result<LoadedTest> choose(const ShellCommandOptions& options) {
  if (options.test.empty()) {
    if (options.with_scheduler)
      return Error::invalid("--with-scheduler starts the scheduler of a test")
          .with_hint("ktstr-launch shell TEST SPEC --with-scheduler");
    LoadedTest plain = plain_vm();
    plain.spec.kernel_args = options.run.kernel_args;
    return plain;
  }
  if (options.run.specs.empty())
    return Error::invalid("shell " + options.test + ": the spec that holds the test is missing")
        .with_hint("ktstr-launch shell TEST SPEC; without a test: ktstr-launch shell");
  if (!options.run.no_build) {
    auto declared = load_tests(options.run, false);
    if (!declared) return std::move(declared).error();
    auto test = pick_test(std::move(*declared), options.test);
    if (!test) return std::move(test).error();
    TestPlan plan;
    plan.tests.push_back({.test = std::move(*test), .kernel = 0, .skip = {}});
    if (auto built = run_builds(
            builds_of(plan),
            [](const std::string& text) { std::fprintf(stderr, "%s\n", printable(text).c_str()); });
        !built)
      return std::move(built).error();
  }
  auto tests = load_tests(options.run);
  if (!tests) return std::move(tests).error();
  auto test = pick_test(std::move(*tests), options.test);
  if (test && options.with_scheduler && !test->spec.scheduler)
    return Error::invalid("the test " + test->spec.name + " has no scheduler to start");
  return test;
}

// Guest path and host path of what the VM gets in addition: busybox, and what --with names.
Result<std::vector<std::pair<std::string, std::string>>> programs(const ShellCommandOptions& options) {
  const std::string busybox = find_program("busybox", env_value("PATH"));
  if (busybox.empty())
    return Error::not_found("the guest's shell is this host's busybox, and there is none in PATH")
        .with_hint("apt-get install busybox-static");
  std::vector<std::pair<std::string, std::string>> out = {{kGuestBusybox, busybox}};
  for (const std::string& wanted : options.bring) {
    std::string path = find_program(wanted, env_value("PATH"));
    std::error_code ec;
    if (path.empty() && std::filesystem::is_regular_file(wanted, ec)) path = wanted;
    if (path.empty()) return Error::not_found("--with " + wanted + ": no such program or file on this host");
    out.emplace_back(std::filesystem::absolute(path, ec).lexically_normal().string(), path);
  }
  return out;
}

ShellPlanT shell_plan(const ShellCommandOptions& options, const LoadedTest& test, bool terminal) {
  ShellPlanT plan;
  plan.command = options.command;
  plan.terminal = terminal;
  if (!terminal) return plan;
  const TerminalSize size = terminal_size(STDIN_FILENO);
  plan.rows = size.rows;
  plan.cols = size.cols;
  const std::string term = env_value("TERM");
  plan.env = {"TERM=" + (term.empty() ? std::string("linux") : term), "PS1=" + test.spec.name + ":\\w\\$ "};
  return plan;
}

std::string greeting(const TestSpecT& spec, const RunEnvironment& env) {
  const uint32_t cpus = vcpu_count(*spec.topology);
  return "VM of " + spec.name + ": " + std::to_string(cpus) + (cpus == 1 ? " CPU, " : " CPUs, ") +
         std::to_string(spec.memory_mb) + " MB, kernel " + env.kernel.release + ", " + env.accelerator.name +
         ". exit leaves it; Ctrl-] three times ends it.";
}

}  // namespace

int shell_command(const ShellCommandOptions& options) {
  // A terminal when a person is at both ends; else a command, or what stdin holds, and nothing but its output.
  const bool terminal = options.command.empty() && ::isatty(STDIN_FILENO);
  auto cache_dir = kernel_cache_dir();
  if (!cache_dir) return report_error(cache_dir.error(), kUsage);
  auto test = choose(options);
  if (!test) return report_error(test.error(), kUsage);
  TestSpecT& spec = test->spec;
  if (auto s = shape(options, spec); !s) return report_error(s.error(), kUsage);
  auto bring = programs(options);
  if (!bring) return report_error(bring.error(), kUsage);

  RunCommandOptions run = options.run;
  run.quiet = run.quiet || !terminal;
  PreparedRun prepared(run);
  RunEnvironment& env = prepared.env();
  const std::string wish = !spec.kernel.empty()  ? spec.kernel
                           : run.kernels.empty() ? ""
                                                 : run.kernels.front();
  auto kernel = kernel_for(wish, *cache_dir);
  if (!kernel) return report_error(kernel.error(), kUsage);
  env.kernel = std::move(*kernel);
  // Only a scheduler has deadlines that a slow host makes longer.
  if (auto failure = prepared.prepare_machine(*cache_dir, options.with_scheduler))
    return report_error(failure->error, failure->code);
  if (!run.out.empty())
    if (auto made = make_artifact_folder(env.folders); !made) return report_error(made.error(), kInfra);
  auto folder = BusFolder::create(env.folders);
  if (!folder) return report_error(folder.error(), kInfra);
  prepared.catch_signals();

  const double scale = time_scale({.tcg = env.accelerator.name == "tcg",
                                   .vcpus = vcpu_count(*spec.topology),
                                   .host_cpus = env.host.cpus,
                                   .load_1min = env.load_1min,
                                   .speed = static_cast<double>(env.host.speed)});
  DeadlineOptions deadlines{.time_scale = scale};
  if (env.boot_limit_ns != 0) deadlines.boot_ns = env.boot_limit_ns;
  const uint64_t boot_ns = deadline_after(Stage::NotStarted, spec, deadlines).limit_ns;
  const uint64_t attach_ns = options.with_scheduler ? spec.attach_timeout_ns : 0;
  const ShellPlanT plan = shell_plan(options, *test, terminal);
  VmRequest vm = vm_request(env);
  vm.spec = &spec;
  vm.bus_folder = folder->path();
  vm.time_scale = scale;
  vm.boot_ns = boot_ns;
  vm.qemu_args = run.qemu_args;
  vm.shell = &plan;
  vm.start_scheduler = options.with_scheduler;
  vm.programs = std::move(*bring);
  auto code =
      run_shell({.vm = std::move(vm),
                 .terminal = terminal,
                 .greeting = greeting(spec, env),
                 .out = run.out,
                 .start_limit_ns = boot_ns + static_cast<uint64_t>(static_cast<double>(attach_ns) * scale),
                 .signal_fd = env.signal_fd,
                 .progress = env.progress});
  prepared.progress().clear();
  return code ? *code : report_error(code.error(), kInfra);
}

}  // namespace ktstr
