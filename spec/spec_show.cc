#include "spec/spec_show.h"

#include <algorithm>

#include "schemas/spec_generated.h"
#include "spec/spec_attributes.h"
#include "workload/work_types.h"

namespace ktstr {
namespace {

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string shown_arg(const std::string& arg) {
  bool plain = !arg.empty() && arg.find_first_of(" \t\n\"'\\$*?") == std::string::npos;
  return plain ? arg : to_toml(arg);
}

std::string show_scheduler(const SchedulerSpecT& scheduler) {
  std::string out = "scheduler " + scheduler.name + ": ";
  out += scheduler.host_path.empty() ? scheduler.binary : scheduler.host_path;
  for (const std::string& arg : scheduler.args) out += " " + shown_arg(arg);
  return out + "\n";
}

// The CPUs, and the rule they came from where it says something else.
std::string cpus_text(const std::string& cpus, const std::string& rule) {
  if (cpus.empty()) return "all";
  std::string plain = rule;
  std::erase(plain, ' ');
  return rule.empty() || plain == cpus ? cpus : cpus + " (" + rule + ")";
}

std::string parameters(const CgroupSpecT& group) {
  const WorkInfo& info = work_info(group.work);
  std::string out;
  auto say = [&](std::string_view attribute, std::string_view word, const std::string& value) {
    if (info.takes(attribute)) out += (out.empty() ? "" : ", ") + std::string(word) + " " + value;
  };
  auto ms = [](uint64_t ns) { return to_toml(static_cast<double>(ns) / 1e6); };
  say("burst_ms", "burst", ms(group.burst_ns) + " ms");
  say("pause_ms", "pause", ms(group.pause_ns) + " ms");
  for (const WorkNumber& number : work_numbers())
    say(number.name, number.name, std::to_string(group.*number.field));
  std::string phases;
  for (const auto& phase : group.phases)
    phases += (phases.empty() ? "" : ", ") + std::string(EnumNameWorkPhaseKind(phase->kind)) + " " +
              ms(phase->length_ns) + " ms";
  say("phases", "phases", phases);
  say("payload", "payload", group.payload);
  return out.empty() ? "" : " (" + out + ")";
}

std::string show_cgroup(const CgroupSpecT& group) {
  std::string out = "cgroup " + group.name + ": " + std::to_string(group.workers) +
                    (group.workers == 1 ? " worker, " : " workers, ") + EnumNameWorkType(group.work) +
                    parameters(group) + ", CPUs " + cpus_text(group.cpuset, group.cpuset_rule);
  if (!group.affinity.empty()) out += ", bound to " + cpus_text(group.affinity, group.affinity_rule);
  if (group.policy != SchedPolicy::Inherit) out += std::string(", ") + EnumNameSchedPolicy(group.policy);
  if (group.priority) out += " " + std::to_string(group.priority);
  if (group.nice) out += ", nice " + std::to_string(group.nice);
  return out + "\n";
}

std::string show_payload(const PayloadSpecT& payload) {
  std::string out =
      "payload " + payload.name + ": " + (payload.host_path.empty() ? payload.binary : payload.host_path);
  for (const std::string& arg : payload.args) out += " " + shown_arg(arg);
  out += payload.cgroup.empty() ? "" : ", in " + payload.cgroup;
  out += payload.on_demand ? ", on demand" : ", with the workload";
  if (payload.timeout_ns) out += ", within " + to_toml(static_cast<double>(payload.timeout_ns) / 1e9) + " s";
  if (payload.exit_code) out += ", exit code " + std::to_string(payload.exit_code);
  return out + "\n";
}

std::string show_step(const StepT& step) {
  std::string out = "step " + step.name + ":";
  for (size_t i = 0; i < step.ops.size(); ++i) out += (i ? ", " : " ") + step.ops[i]->text;
  if (step.hold_ns)
    out += std::string(step.ops.empty() ? " hold " : ", hold ") +
           to_toml(static_cast<double>(step.hold_ns) / 1e9) + " s";
  return out + "\n";
}

std::string show_write(const MapWriteT& write) {
  return "bpf_map_write " + write.map + (write.key.empty() ? "" : "[" + write.key + "]") +
         (write.field.empty() ? "" : " " + write.field) + " = " + write.value + " at " +
         to_toml(static_cast<double>(write.at_ns) / 1e9) + " s\n";
}

}  // namespace

std::string show_test(const LoadedTest& test) {
  const TestSpecT& spec = test.spec;
  std::string out = spec.name + "  " + spec.file + ":" + std::to_string(spec.line) + "\n";
  out += spec.scheduler ? show_scheduler(*spec.scheduler) : "scheduler none: the kernel's own\n";

  size_t name_width = 0, value_width = 0;
  for (const Setting& setting : test.settings) {
    if (setting.value.empty()) continue;
    name_width = std::max(name_width, setting.name.size());
    if (setting.value.size() <= 32) value_width = std::max(value_width, setting.value.size());
  }
  for (const Setting& setting : test.settings) {
    if (setting.value.empty()) continue;
    out += "  " + padded(setting.name, name_width) + " = " + padded(setting.value, value_width) + "  " +
           origin_text(setting, spec) + "\n";
  }
  for (const auto& group : spec.cgroups) out += show_cgroup(*group);
  for (const auto& payload : spec.payloads) out += show_payload(*payload);
  for (const auto& step : spec.steps) out += show_step(*step);
  for (const auto& write : spec.bpf_map_write) out += show_write(*write);
  return out;
}

}  // namespace ktstr
