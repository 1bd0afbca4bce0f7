#include "spec/spec_writer.h"

#include <cmath>

#include "spec/spec_attributes.h"
#include "workload/work_types.h"

namespace ktstr {
namespace {

// `key = value` of a block, or `key = value, …` of an inline table.
class Lines {
 public:
  Lines(std::string indent, bool inlined) : indent_(std::move(indent)), inlined_(inlined) {}

  void add(std::string_view key, const SpecValue& value) {
    if (inlined_)
      text_ += (text_.empty() ? "" : ", ") + std::string(key) + " = " + to_toml(value);
    else
      text_ += indent_ + std::string(key) + " = " + to_toml(value) + "\n";
  }
  void text(std::string_view key, const std::string& value) {
    if (!value.empty()) add(key, value);
  }
  void texts(std::string_view key, const SpecTexts& values) {
    if (!values.empty()) add(key, values);
  }
  const std::string& str() const { return text_; }

 private:
  std::string indent_, text_;
  bool inlined_;
};

SpecValue length(uint64_t ns, double unit) { return static_cast<double>(ns) / unit; }

void replace_all(std::string& text, const std::string& what, std::string_view by) {
  for (size_t at = 0; !what.empty() && (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

std::string phase_text(const WorkPhaseT& phase) {
  std::string kind = EnumNameWorkPhaseKind(phase.kind);
  kind[0] = static_cast<char>(kind[0] - 'A' + 'a');
  return kind + " " + to_toml(length(phase.length_ns, 1e3)) + "us";
}

void write_work(const CgroupSpecT& group, Lines& out) {
  const WorkInfo& info = work_info(group.work);
  out.add("workers", int64_t{group.workers});
  if (group.work != CgroupSpecT().work) out.add("work", EnumNameWorkType(group.work));
  for (auto [name, ns, usual] : {std::tuple{"burst_ms", group.burst_ns, CgroupSpecT().burst_ns},
                                 {"pause_ms", group.pause_ns, CgroupSpecT().pause_ns}})
    if (info.takes(name) && ns != usual) out.add(name, length(ns, 1e6));
  for (const WorkNumber& number : work_numbers())
    if (info.takes(number.name) && group.*number.field != info.default_of(number))
      out.add(number.name, int64_t{group.*number.field});
  SpecTexts phases;
  for (const auto& phase : group.phases) phases.push_back(phase_text(*phase));
  out.texts("phases", phases);
  if (group.policy != SchedPolicy::Inherit) out.add("policy", EnumNameSchedPolicy(group.policy));
  if (group.priority > 1) out.add("priority", int64_t{group.priority});
  if (group.nice != 0) out.add("nice", int64_t{group.nice});
  out.text("affinity", group.affinity_rule.empty() ? group.affinity : group.affinity_rule);
  out.text("payload", group.payload);
}

std::string op_text(const StepOpT& op) {
  for (const OpInfo& info : step_ops()) {
    if (info.kind != op.kind) continue;
    Lines out("", true);
    out.add(info.verb, op.payload.empty() ? op.cgroup : op.payload);
    if (info.needs == "with" || info.needs == "to") out.add(info.needs, op.other);
    out.text("cpus", op.cpus);
    if (op.group) write_work(*op.group, out);
    return "{ " + out.str() + " }";
  }
  return "";
}

class Writer {
 public:
  Writer(const TestSpecT& test, const SpecTextOptions& options) : test_(test), options_(options) {}

  std::string write() {
    if (test_.scheduler) scheduler(*test_.scheduler);
    head();
    for (const auto& group : test_.cgroups) cgroup(*group);
    for (const auto& payload : test_.payloads) this->payload(*payload);
    for (const auto& write : test_.bpf_map_write) map_write(*write);
    for (size_t i = 0; i < test_.steps.size(); ++i) step(*test_.steps[i], i);
    return std::move(out_);
  }

 private:
  std::string placed(const std::string& as_written, const std::string& host_path) const {
    return options_.place ? options_.place(as_written, host_path) : as_written;
  }

  // A configuration file has its place in the VM; the reader wants to see that it is named.
  std::string with_config(std::string text) const {
    replace_all(text, test_.scheduler->config_path, "{config}");
    return text;
  }

  static SpecPairs pairs(const std::vector<std::unique_ptr<KeyValueT>>& values) {
    SpecPairs out;
    for (const auto& value : values) out[value->key] = value->value;
    return out;
  }

  void scheduler(const SchedulerSpecT& s) {
    Lines lines("", false);
    lines.add("binary", placed(s.binary, s.host_path));
    SpecTexts args;
    for (const std::string& arg : s.args) args.push_back(with_config(arg));
    lines.texts("args", args);
    SpecPairs env = pairs(s.env);
    for (auto& [key, value] : env) value = with_config(value);
    if (!env.empty()) lines.add("env", env);
    lines.text("config", s.config);
    if (options_.build) lines.text("build", s.build);
    out_ += "[scheduler." + s.name + "]\n" + lines.str() + "\n";
  }

  void head() {
    Lines lines("", false);
    lines.add("name", test_.base_name.empty() ? test_.name : test_.base_name);
    if (test_.scheduler) lines.add("scheduler", test_.scheduler->name);
    const TestSpecT usual = default_test();
    for (const Attribute& attribute : test_attributes()) {
      const auto value = get_attribute(test_, attribute);
      if (value && value != get_attribute(usual, attribute)) lines.add(attribute.name, *value);
    }
    SpecTexts files;
    for (const auto& file : test_.files) files.push_back(placed(file->name, file->host_path));
    lines.texts("files", files);
    if (!test_.sysctl.empty()) lines.add("sysctl", pairs(test_.sysctl));
    out_ += "[[test]]\n" + lines.str();
  }

  void cgroup(const CgroupSpecT& group) {
    Lines lines("  ", false);
    lines.add("name", group.name);
    lines.text("cpuset", group.cpuset_rule.empty() ? group.cpuset : group.cpuset_rule);
    write_work(group, lines);
    out_ += "  [[test.cgroup]]\n" + lines.str();
  }

  void payload(const PayloadSpecT& p) {
    Lines lines("  ", false);
    lines.add("name", p.name);
    lines.add("binary", placed(p.binary, p.host_path));
    lines.texts("args", p.args);
    lines.text("cgroup", p.cgroup);
    if (p.timeout_ns != 0) lines.add("timeout_s", length(p.timeout_ns, 1e9));
    if (p.exit_code != 0) lines.add("exit_code", int64_t{p.exit_code});
    if (p.on_demand) lines.add("on_demand", true);
    out_ += "  [[test.payload]]\n" + lines.str();
  }

  void map_write(const MapWriteT& w) {
    Lines lines("  ", false);
    lines.add("map", w.map);
    lines.text("field", w.field);
    lines.text("key", w.key);
    lines.add("value", w.value);
    if (w.at_ns != 0) lines.add("at_s", length(w.at_ns, 1e9));
    out_ += "  [[test.bpf_map_write]]\n" + lines.str();
  }

  void step(const StepT& s, size_t place) {
    Lines lines("  ", false);
    if (s.name != "step " + std::to_string(place + 1)) lines.add("name", s.name);
    if (s.hold_ns != 0) lines.add("hold_s", length(s.hold_ns, 1e9));
    out_ += "  [[test.step]]\n" + lines.str();
    if (s.ops.empty()) return;
    out_ += "  ops = [\n";
    for (const auto& op : s.ops) out_ += "    " + op_text(*op) + ",\n";
    out_ += "  ]\n";
  }

  const TestSpecT& test_;
  const SpecTextOptions& options_;
  std::string out_;
};

}  // namespace

std::string spec_text(const TestSpecT& test, const SpecTextOptions& options) {
  return Writer(test, options).write();
}

}  // namespace ktstr
