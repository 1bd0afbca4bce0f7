// [[test.step]]: operations over time. The names of groups are followed through the steps, so that an
// operation on a group that is not there at that time is refused here, not in the VM. So are the CPUs that steps take away.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/cpu_list.h"
#include "base/wording.h"
#include "schemas/spec_generated.h"
#include "spec/spec.h"
#include "spec/spec_resolve.h"

namespace ktstr {
namespace {

bool is_about_payload(OpKind kind) {
  return kind == OpKind::RunPayload || kind == OpKind::WaitPayload || kind == OpKind::KillPayload;
}

class StepReader {
 public:
  StepReader(const ResolveContext& context, TestSpecT& spec)
      : context_(context), errors_(context.errors), spec_(spec) {
    for (const auto& group : spec.cgroups) groups_.insert(group->name);
  }

  void read(const RawTest& raw) {
    uint64_t held = 0;
    for (size_t i = 0; i < raw.steps.size(); ++i) {
      auto step = std::make_unique<StepT>();
      read_head(raw.steps[i].head, i, *step);
      for (const char* verb : {"offline", "online"}) {
        if (const auto* cpus = find_value(raw.steps[i].head.values, verb)) {
          RawTable op;
          op.line = cpus->line;
          op.values[verb] = *cpus;
          read_op(op, *step);
        }
      }
      for (const RawTable& op : raw.steps[i].ops) read_op(op, *step);
      held += step->hold_ns;
      if (held > spec_.duration_ns && !told_) {
        told_ = true;
        errors_.add(step->line,
                    "the steps hold for " + to_toml(static_cast<double>(held) / 1e9) +
                        " s up to here, duration_s is " +
                        to_toml(static_cast<double>(spec_.duration_ns) / 1e9),
                    "make duration_s longer, or the holds shorter");
      }
      spec_.steps.push_back(std::move(step));
    }
  }

 private:
  void read_head(const RawTable& head, size_t index, StepT& step) {
    step.line = head.line;
    step.name = "step " + std::to_string(index + 1);
    if (const auto* name = find_value(head.values, "name")) {
      step.name = std::get<std::string>(name->value);
      if (!good_name(step.name, " .:"))
        errors_.add(name->line, "step name " + in_quotes(step.name) + " is no good name", kGoodNameHint);
    }
    const auto* seconds = find_value(head.values, "hold_s");
    const auto* fraction = find_value(head.values, "hold_frac");
    if (seconds && fraction)
      errors_.add(fraction->line, "hold_s and hold_frac in one step", "take one of them out");
    if (seconds) step.hold_ns = static_cast<uint64_t>(std::llround(as_number(seconds->value) * 1e9));
    if (fraction)
      step.hold_ns = static_cast<uint64_t>(
          std::llround(as_number(fraction->value) * static_cast<double>(spec_.duration_ns)));
  }

  static const OpInfo* verb_of(const RawTable& op) {
    for (const OpInfo& info : step_ops())
      if (op.values.contains(info.verb)) return &info;
    return nullptr;
  }

  void read_op(const RawTable& raw, StepT& step) {
    const OpInfo* info = verb_of(raw);
    if (!info) {
      std::string all;
      for (const OpInfo& known : step_ops()) all += (all.empty() ? "" : ", ") + std::string(known.verb);
      errors_.add(raw.line, "an operation without a verb", "write { VERB = \"NAME\" } with one of " + all);
      return;
    }
    auto op = std::make_unique<StepOpT>();
    op->kind = info->kind;
    op->line = raw.line;
    const Located<SpecValue>& target = *find_value(raw.values, info->verb);
    const std::string& name = std::get<std::string>(target.value);
    op->text = std::string(info->verb) + " " + name;
    check_keys(raw, *info);
    if (names_cpus(info->kind)) {
      read_hotplug(target, *info, *op);
    } else if (is_about_payload(info->kind)) {
      op->payload = name;
      check_payload(target, info->kind);
    } else {
      op->cgroup = name;
      check_group(target, info->kind);
      read_rest(raw, *info, *op);
    }
    step.ops.push_back(std::move(op));
  }

  // Two verbs in one operation, keys of another one, a key that is missing.
  void check_keys(const RawTable& raw, const OpInfo& info) {
    for (const auto& [key, value] : raw.values) {
      if (key == info.verb || key == info.needs || key == info.may) continue;
      auto is_spawn = [&, k = key](const Attribute& a) { return a.name == k; };
      if (info.may == "*" && std::any_of(spawn_attributes().begin(), spawn_attributes().end(), is_spawn))
        continue;
      bool verb =
          std::any_of(step_ops().begin(), step_ops().end(), [&, k = key](auto& o) { return o.verb == k; });
      errors_.add(value.line, std::string(info.verb) + " takes no " + in_quotes(key),
                  verb                                     ? "write two operations"
                  : info.needs.empty() && info.may.empty() ? "it takes nothing else"
                  : info.may == "*"                        ? "it takes what [[test.cgroup]] says of workers"
                                    : "it takes " + std::string(info.needs) + std::string(info.may));
    }
    if (!info.needs.empty() && !raw.values.contains(info.needs))
      errors_.add(raw.line, std::string(info.verb) + " has no " + std::string(info.needs),
                  "add " + std::string(info.needs) + " = \"…\"");
  }

  // The CPUs that are offline are followed through the steps, like the groups.
  void read_hotplug(const Located<SpecValue>& target, const OpInfo& info, StepOpT& op) {
    const std::string verb(info.verb);
    op.cpus = resolve_cpus(target, spec_, verb, errors_);
    if (op.cpus.empty()) return;  // told
    if (std::get<std::string>(target.value) != op.cpus) op.text += " = " + op.cpus;
    const bool away = info.kind == OpKind::Offline;
    auto cpus = parse_cpu_list(op.cpus, kMaxVcpus);
    if (!cpus) return;
    std::vector<unsigned> wrong;
    for (const unsigned cpu : *cpus) {
      if (away && cpu == 0) {
        errors_.add(target.line, verb + ": CPU 0 cannot go offline",
                    "an x86-64 kernel keeps its boot CPU: name others");
        return;
      }
      if (offline_.contains(cpu) == away) wrong.push_back(cpu);
    }
    if (!wrong.empty())
      errors_.add(target.line,
                  verb + ": CPU " + cpu_list(wrong) +
                      (away ? " is offline already at this step" : " is not offline at this step"),
                  away ? "take it out, or bring it back before: { online = \"…\" }"
                       : "only a CPU that a step before took offline comes back");
    for (const unsigned cpu : *cpus) {
      if (away)
        offline_.insert(cpu);
      else
        offline_.erase(cpu);
    }
  }

  void check_payload(const Located<SpecValue>& target, OpKind kind) {
    const std::string& name = std::get<std::string>(target.value);
    std::vector<std::string> known;
    for (const auto& payload : spec_.payloads) {
      known.push_back(payload->name);
      if (payload->name != name) continue;
      if (kind == OpKind::RunPayload) payload->on_demand = true;
      return;
    }
    errors_.add(target.line, "unknown payload " + in_quotes(name) + did_you_mean(name, known),
                "add a [[test.payload]] of that name");
  }

  void check_group(const Located<SpecValue>& target, OpKind kind) {
    const std::string& name = std::get<std::string>(target.value);
    if (kind == OpKind::AddCgroup) {
      if (!good_name(name))
        errors_.add(target.line, "cgroup name " + in_quotes(name) + " is no good name", kGoodNameHint);
      if (!groups_.insert(name).second)
        errors_.add(target.line, "cgroup " + in_quotes(name) + " is there already", "choose another name");
      return;
    }
    if (known_group(target) && kind == OpKind::RemoveCgroup) groups_.erase(name);
  }

  bool known_group(const Located<SpecValue>& target) {
    const std::string& name = std::get<std::string>(target.value);
    if (groups_.contains(name)) return true;
    errors_.add(target.line,
                "cgroup " + in_quotes(name) + " is not there at this step" +
                    did_you_mean(name, {groups_.begin(), groups_.end()}),
                "add a [[test.cgroup]], or { add_cgroup = \"…\" } before it");
    return false;
  }

  void read_rest(const RawTable& raw, const OpInfo& info, StepOpT& op) {
    for (std::string_view key : {"with", "to"}) {
      if (info.needs != key) continue;
      const auto* other = find_value(raw.values, key);
      if (!other) continue;
      op.other = std::get<std::string>(other->value);
      op.text += " " + std::string(key) + " " + op.other;
      known_group(*other);
      if (op.other == op.cgroup)
        errors_.add(other->line, std::string(info.verb) + " with the group itself", "name two groups");
    }
    if (info.needs == "cpus" || info.may == "cpus") {
      if (const auto* cpus = find_value(raw.values, "cpus")) {
        op.cpus = resolve_cpus(*cpus, spec_, "cpus", errors_);
        op.text += " to " + std::get<std::string>(cpus->value);
        if (std::get<std::string>(cpus->value) != op.cpus) op.text += " = " + op.cpus;
      }
    }
    if (info.kind == OpKind::Spawn) {
      op.group = std::make_unique<CgroupSpecT>();
      op.group->name = op.cgroup;
      resolve_work(raw, context_, spec_, *op.group);
      op.text = "spawn " + std::to_string(op.group->workers) + " " + EnumNameWorkType(op.group->work) +
                " in " + op.cgroup;
    }
  }

  const ResolveContext& context_;
  SpecErrors& errors_;
  TestSpecT& spec_;
  std::set<std::string> groups_;  // that are there at the step in hand
  std::set<unsigned> offline_;    // CPUs that are away at the step in hand
  bool told_ = false;
};

}  // namespace

void resolve_steps(const RawTest& raw, const ResolveContext& context, TestSpecT& spec) {
  StepReader(context, spec).read(raw);
}

}  // namespace ktstr
