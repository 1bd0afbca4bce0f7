#include "launcher/run/run_facts.h"

#include <cstdlib>

#include "launcher/run/embedded_files.h"
#include "launcher/vm/qemu_command.h"
#include "schemas/event_generated.h"
#include "schemas/spec_generated.h"
#include "version.h"

namespace ktstr {

std::string run_id_of(const TestSpecT& spec, const RunEnvironment& environment) {
  const RunPlace& place = environment.place;
  std::string id = environment.folders.run_id + "/" + spec.name;
  if (place.rounds > 1) id += ".round" + std::to_string(place.round);
  if (place.try_number > 1) id += ".try" + std::to_string(place.try_number);
  return id;
}

std::string rerun_command(const TestSpecT& spec, const RunEnvironment& environment) {
  if (environment.recorded) return shell_quote(environment.command);
  // Of a C++ test (ktstr/test.h) `file` is its source; what is run is the binary, its body.
  std::string argument = spec.file;
  for (const auto& payload : spec.payloads)
    if (!spec.body.empty() && payload->name == spec.body) argument = payload->binary;
  std::vector<std::string> words = {"ktstr-launch", environment.verb, argument, "-E",
                                    "test(=" + spec.name + ")"};
  words.insert(words.end(), environment.rerun_options.begin(), environment.rerun_options.end());
  if (spec.scheduler && !spec.scheduler->chosen_by.empty())
    words.insert(words.begin(), {"env", spec.scheduler->chosen_by + "=" + spec.scheduler->binary});
  if (environment.determinism) words = with_switches(environment.environment, std::move(words));
  return shell_quote(words);
}

Switches shell_switches() {
  Switches set;
  for (const char* name : {"RUST_BACKTRACE", "KTSTR_VERBOSE"})
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0')
      set.emplace_back(name, value);
  return set;
}

std::vector<std::string> with_switches(const Switches& switches, std::vector<std::string> command) {
  for (const auto& [name, value] : switches) {
    if (command.front() != "env") command.insert(command.begin(), "env");
    command.insert(command.begin() + 1, name + "=" + value);
  }
  return command;
}

RunStartedT run_started(const TestSpecT& spec, const RunEnvironment& environment) {
  RunStartedT started;
  started.tool_version = kVersion;
  started.schema_version = kSchemaVersion;
  started.spec = std::make_unique<TestSpecT>(spec);
  for (const auto& [key, value] : environment.environment) {
    auto kv = std::make_unique<KeyValueT>();
    kv->key = key;
    kv->value = value;
    started.environment.push_back(std::move(kv));
  }
  started.kernel = std::make_unique<KernelInfoT>(environment.kernel);
  started.accelerator = std::make_unique<AcceleratorInfoT>(environment.accelerator);
  started.host = std::make_unique<HostInfoT>(environment.host);
  started.command = environment.command;
  hash_programs(*started.spec);
  if (environment.recorded) started.origin = environment.recorded->started.run_id;
  started.files_embedded = environment.embed;
  started.round = environment.place.round;
  started.rounds = environment.place.rounds;
  started.try_number = environment.place.try_number;
  started.tries = environment.place.tries;
  started.jobs = environment.jobs;
  started.qemu_args = environment.qemu_args;
  started.kernel_args = environment.kernel_args;
  started.partition = environment.partition;
  if (environment.determinism) started.determinism = std::make_unique<DeterminismT>(*environment.determinism);
  return started;
}

VmEnd vm_end(const VmEndFacts& facts) {
  if (facts.interrupted || facts.ended_by_us) return VmEnd::Interrupted;
  if (facts.timed_out) return VmEnd::TimedOut;
  const bool refused_to_start = facts.exit_code != 0 && facts.last_stage == Stage::NotStarted;
  if (facts.not_started || facts.signal != 0 || refused_to_start) return VmEnd::QemuFailed;
  return facts.last_stage == Stage::GuestFinished ? VmEnd::PoweredOff : VmEnd::Died;
}

}  // namespace ktstr
