#include "schemas/spec_show.h"

#include <algorithm>

#include "schemas/spec_attributes.h"

namespace ktstr {
namespace {

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string show_scheduler(const SchedulerSpecT& scheduler) {
  std::string out = "scheduler " + scheduler.name + ": ";
  out += scheduler.host_path.empty() ? scheduler.binary : scheduler.host_path;
  for (const std::string& arg : scheduler.args) {
    bool plain = !arg.empty() && arg.find_first_of(" \t\n\"'\\$*?") == std::string::npos;
    out += " " + (plain ? arg : to_toml(arg));
  }
  return out + "\n";
}

std::string show_cgroup(const CgroupSpecT& group) {
  auto ms = [](uint64_t ns) { return to_toml(static_cast<double>(ns) / 1e6); };
  std::string out = "cgroup " + group.name + ": " + std::to_string(group.workers) +
                    (group.workers == 1 ? " worker, " : " workers, ") + EnumNameWorkType(group.work);
  if (group.work == WorkType::Bursty || group.work == WorkType::Mixed)
    out += " (burst " + ms(group.burst_ns) + " ms, pause " + ms(group.pause_ns) + " ms)";
  return out + ", CPUs " + (group.cpuset.empty() ? "all" : group.cpuset) + "\n";
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
  return out;
}

}  // namespace ktstr
