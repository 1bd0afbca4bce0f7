// [[test.cgroup]]: groups, CPUs by rule, and what their workers do.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/cpu_list.h"
#include "base/wording.h"
#include "schemas/spec_generated.h"
#include "spec/cpu_set.h"
#include "spec/spec_resolve.h"
#include "workload/work_types.h"

namespace ktstr {
namespace {

template <typename Enum, size_t N>
std::optional<Enum> by_name(const std::string& name, const Enum (&values)[N], const char* (*name_of)(Enum),
                            std::string& hint) {
  std::vector<std::string> known;
  std::string all;
  for (Enum value : values) {
    known.emplace_back(name_of(value));
    all += (all.empty() ? "" : ", ") + known.back();
    if (name == known.back()) return value;
  }
  std::string near = closest(name, known);
  hint = near.empty() ? "there are " + all : "did you mean \"" + near + "\"?";
  return std::nullopt;
}

uint32_t whole(const Located<SpecValue>& value) {
  return static_cast<uint32_t>(std::get<int64_t>(value.value));
}

// "spin 5ms", "sleep 250us", "io 1s".
std::unique_ptr<WorkPhaseT> parse_phase(const std::string& text, std::string& hint) {
  size_t blank = text.find(' ');
  std::string kind = text.substr(0, blank);
  auto phase = std::make_unique<WorkPhaseT>();
  static const std::pair<const char*, WorkPhaseKind> kKinds[] = {{"spin", WorkPhaseKind::Spin},
                                                                 {"sleep", WorkPhaseKind::Sleep},
                                                                 {"yield", WorkPhaseKind::Yield},
                                                                 {"io", WorkPhaseKind::Io}};
  hint = "write it like \"spin 5ms\": spin, sleep, yield or io, and a length in us, ms or s";
  auto found = std::find_if(std::begin(kKinds), std::end(kKinds), [&](auto& k) { return kind == k.first; });
  if (found == std::end(kKinds) || blank == std::string::npos) return nullptr;
  phase->kind = found->second;
  const char* start = text.c_str() + blank + 1;
  char* end = nullptr;
  double length = std::strtod(start, &end);
  std::string unit(end);
  double scale = unit == "us" ? 1e3 : unit == "ms" ? 1e6 : unit == "s" ? 1e9 : 0;
  if (end == start || !(length * scale >= 1000) || length * scale > 60e9) return nullptr;
  phase->length_ns = static_cast<uint64_t>(std::llround(length * scale));
  return phase;
}

std::string worker_count(unsigned n) {
  return n == 1 ? "there is 1 worker" : "there are " + std::to_string(n) + " workers";
}

class WorkReader {
 public:
  WorkReader(const RawTable& raw, const ResolveContext& context, const TestSpecT& spec, CgroupSpecT& group)
      : raw_(raw), errors_(context.errors), spec_(spec), group_(group) {}

  void read() {
    if (const auto* work = find("work")) read_work(*work);
    const WorkInfo& info = work_info(group_.work);
    for (const WorkInfo& other : work_types()) refuse_params_of(other, info);
    read_lengths();
    read_numbers();
    read_phases();
    read_policy();
    read_share();
    check_grouping(info);
    if (const auto* affinity = find("affinity")) {
      group_.affinity_rule = std::get<std::string>(affinity->value);
      group_.affinity = resolve_cpus(*affinity, spec_, "affinity", errors_);
      check_affinity(*affinity);
    }
    read_payload();
  }

 private:
  const Located<SpecValue>* find(std::string_view name) const { return find_value(raw_.values, name); }

  void read_work(const Located<SpecValue>& work) {
    const std::string& name = std::get<std::string>(work.value);
    std::vector<std::string> known;
    std::string all;
    for (const WorkInfo& info : work_types()) {
      known.emplace_back(EnumNameWorkType(info.type));
      all += (all.empty() ? "" : ", ") + known.back();
      if (name == known.back()) {
        group_.work = info.type;
        return;
      }
    }
    std::string near = closest(name, known);
    errors_.add(work.line, "unknown work type " + in_quotes(name),
                near.empty() ? "there are " + all : "did you mean \"" + near + "\"?");
  }

  // A parameter that this work type does not look at would silently do nothing.
  void refuse_params_of(const WorkInfo& other, const WorkInfo& mine) {
    for (const Attribute& attribute : spawn_attributes()) {
      const auto* value = find(attribute.name);
      if (!value || !other.takes(attribute.name) || mine.takes(attribute.name)) continue;
      std::string takers;
      for (const WorkInfo& info : work_types())
        if (info.takes(attribute.name))
          takers += (takers.empty() ? "" : ", ") + std::string(EnumNameWorkType(info.type));
      errors_.add(value->line,
                  std::string(EnumNameWorkType(group_.work)) + " takes no " + std::string(attribute.name),
                  "it belongs to " + takers);
    }
  }

  void read_lengths() {
    auto length = [&](std::string_view name, uint64_t& ns) {
      if (const auto* value = find(name))
        ns = static_cast<uint64_t>(std::llround(as_number(value->value) * 1e6));
    };
    length("burst_ms", group_.burst_ns);
    length("pause_ms", group_.pause_ns);
  }

  void read_numbers() {
    set_work_defaults(group_);
    for (const WorkNumber& number : work_numbers())
      if (const auto* value = find(number.name); value && work_info(group_.work).takes(number.name))
        group_.*number.field = whole(*value);
  }

  void read_phases() {
    const auto* phases = find("phases");
    if (group_.work != WorkType::Sequence) return;
    if (!phases || std::get<std::vector<std::string>>(phases->value).empty()) {
      errors_.add(phases ? phases->line : raw_.line, "Sequence has no phases",
                  "add phases = [\"spin 5ms\", \"sleep 2ms\"]");
      return;
    }
    for (const std::string& text : std::get<std::vector<std::string>>(phases->value)) {
      std::string hint;
      auto phase = parse_phase(text, hint);
      if (phase)
        group_.phases.push_back(std::move(phase));
      else
        errors_.add(phases->line, in_quotes(text) + " is no phase", hint);
    }
  }

  void read_policy() {
    unsigned policy_line = raw_.line;
    if (const auto* policy = find("policy")) {
      policy_line = policy->line;
      std::string hint;
      const std::string& name = std::get<std::string>(policy->value);
      if (auto known = by_name(name, EnumValuesSchedPolicy(), EnumNameSchedPolicy, hint))
        group_.policy = *known;
      else
        errors_.add(policy->line, "unknown policy " + in_quotes(name), hint);
    }
    const bool real_time = group_.policy == SchedPolicy::Fifo || group_.policy == SchedPolicy::RoundRobin;
    group_.priority = real_time ? 1 : 0;
    if (const auto* priority = find("priority")) {
      group_.priority = whole(*priority);
      if (!real_time)
        errors_.add(priority->line, "priority without a real-time policy",
                    "add policy = \"Fifo\" or \"RoundRobin\"");
    }
    if (const auto* nice = find("nice")) {
      group_.nice = static_cast<int32_t>(std::get<int64_t>(nice->value));
      if (real_time) errors_.add(nice->line, "nice with a real-time policy", "take one of the two out");
      if (group_.work == WorkType::NiceSweep)
        errors_.add(nice->line, "NiceSweep sets its nice level itself", "take nice out");
    }
    if (group_.work == WorkType::PolicyChurn && group_.policy != SchedPolicy::Inherit)
      errors_.add(policy_line, "PolicyChurn sets its policy itself", "take policy out");
  }

  // "90%" of the CPUs that the group may use, in whole groups of workers.
  void read_share() {
    const auto* workers = find("workers");
    const auto* text = workers ? std::get_if<std::string>(&workers->value) : nullptr;
    if (!text) return;
    const unsigned all = spec_.topology->llcs * spec_.topology->cores * spec_.topology->threads;
    const auto allowed = parse_cpu_list(group_.cpuset, all);
    const unsigned cpus = group_.cpuset.empty() || !allowed ? all : static_cast<unsigned>(allowed->size());
    const uint32_t size = std::max(group_size(group_), 1u);
    const uint32_t share = static_cast<uint32_t>(uint64_t{cpus} * parse_share(*text).value_or(100) / 100);
    group_.workers = std::max(share / size, 1u) * size;
  }

  void check_grouping(const WorkInfo& info) {
    const uint32_t size = group_size(group_);
    if (size <= 1 || group_.workers % size == 0) return;
    std::string why = " works in pairs";
    if (info.grouping == WorkGrouping::kFanOut)
      why = " works in groups of fan_out + 1 = " + std::to_string(size);
    else if (info.grouping == WorkGrouping::kContenders)
      why = " works in groups of contenders = " + std::to_string(size);
    const auto* workers = find("workers");
    errors_.add(workers ? workers->line : raw_.line,
                std::string(EnumNameWorkType(group_.work)) + why + ", but " + worker_count(group_.workers),
                size == 2 ? "make it an even number" : "make it a multiple of " + std::to_string(size));
  }

  // The kernel would refuse it.
  void check_affinity(const Located<SpecValue>& affinity) {
    const unsigned cpus = spec_.topology->llcs * spec_.topology->cores * spec_.topology->threads;
    auto allowed = parse_cpu_list(group_.cpuset, cpus), wanted = parse_cpu_list(group_.affinity, cpus);
    if (!allowed || !wanted) return;
    for (unsigned cpu : *wanted)
      if (std::find(allowed->begin(), allowed->end(), cpu) != allowed->end()) return;
    errors_.add(affinity.line,
                "affinity " + group_.affinity + " has no CPU of the group's cpuset " + group_.cpuset,
                "bind the workers to CPUs that they may use");
  }

  void read_payload() {
    if (group_.work != WorkType::Custom) return;
    const auto* payload = find("payload");
    if (!payload) {
      errors_.add(raw_.line, "Custom work has no payload",
                  "add payload = \"…\", the name of a [[test.payload]]");
      return;
    }
    group_.payload = std::get<std::string>(payload->value);
    std::vector<std::string> known;
    for (const auto& p : spec_.payloads) {
      known.push_back(p->name);
      if (p->name != group_.payload) continue;
      p->on_demand = true;  // each worker is one; it does not run once more by itself
      return;
    }
    errors_.add(payload->line,
                "unknown payload " + in_quotes(group_.payload) + did_you_mean(group_.payload, known),
                "add a [[test.payload]] of that name");
  }

  const RawTable& raw_;
  SpecErrors& errors_;
  const TestSpecT& spec_;
  CgroupSpecT& group_;
};

}  // namespace

std::string scalar_text(const SpecValue& value) {
  const std::string* text = std::get_if<std::string>(&value);
  return text ? *text : to_toml(value);
}

const Located<SpecValue>* find_value(const RawLayer& layer, std::string_view name) {
  auto found = layer.find(name);
  return found == layer.end() ? nullptr : &found->second;
}

std::string resolve_cpus(const Located<SpecValue>& rule, const TestSpecT& spec, std::string_view what,
                         SpecErrors& errors) {
  auto list = resolve_cpu_rule(std::get<std::string>(rule.value), *spec.topology);
  if (list) return cpu_list(*list);
  errors.add(rule.line, std::string(what) + ": " + list.error().message(), list.error().hint());
  return "";
}

void resolve_work(const RawTable& raw, const ResolveContext& context, const TestSpecT& spec,
                  CgroupSpecT& group) {
  group.workers = context.per_group;
  if (const auto* workers = find_value(raw.values, "workers"))
    if (!std::holds_alternative<std::string>(workers->value)) group.workers = whole(*workers);
  WorkReader(raw, context, spec, group).read();
}

void resolve_cgroups(const RawTest& raw, const ResolveContext& context, TestSpecT& spec) {
  SpecErrors& errors = context.errors;
  std::map<std::string, unsigned> names;
  unsigned total = 0;
  for (const RawTable& table : raw.cgroups) {
    auto group = std::make_unique<CgroupSpecT>();
    if (const auto* name = find_value(table.values, "name")) {
      group->name = std::get<std::string>(name->value);
      if (!good_name(group->name))
        errors.add(name->line, "cgroup name " + in_quotes(group->name) + " is no good name", kGoodNameHint);
    } else {
      errors.add(table.line, "[[test.cgroup]] has no name", "add name = \"…\"");
    }
    if (const auto* cpuset = find_value(table.values, "cpuset")) {
      group->cpuset_rule = std::get<std::string>(cpuset->value);
      group->cpuset = resolve_cpus(*cpuset, spec, "cpuset", errors);
    }
    resolve_work(table, context, spec, *group);
    if (!group->name.empty()) {
      auto [first, is_new] = names.emplace(group->name, table.line);
      if (!is_new)
        errors.add(
            table.line,
            "cgroup " + in_quotes(group->name) + " is already in line " + std::to_string(first->second),
            "give each cgroup of a test a name of its own");
    }
    total += group->workers;
    spec.cgroups.push_back(std::move(group));
  }
  if (total > kMaxWorkers)
    errors.add(raw.line, "the test has " + std::to_string(total) + " workers",
               std::to_string(kMaxWorkers) + " is the most");
}

}  // namespace ktstr
