#include "spec/spec_docs.h"

#include <cmath>

#include "base/json.h"
#include "schemas/spec_generated.h"
#include "spec/spec.h"
#include "spec/spec_attributes.h"
#include "workload/work_types.h"

namespace ktstr {
namespace {

// The same limits that the reader sets.
constexpr std::string_view kNamePattern = "^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$";
constexpr std::string_view kTestNamePattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$";
constexpr std::string_view kCpusPattern =
    "^(((llc|numa):)?( *[0-9]+ *(- *[0-9]+ *)?(, *[0-9]+ *(- *[0-9]+ "
    "*)?)*)|range:[0-9.]+-[0-9.]+|disjoint:[0-9]+/"
    "[0-9]+|overlap:[0-9]+/[0-9]+:[0-9.]+)$";
constexpr std::string_view kPhasePattern = "^(spin|sleep|yield|io) [0-9.]+(us|ms|s)$";

OrderedJson number(double value) {
  if (value == std::floor(value)) return static_cast<int64_t>(value);
  return value;
}

OrderedJson property(const Attribute& attribute) {
  OrderedJson out;
  std::string doc(attribute.doc);
  if (!attribute.unit.empty()) doc += " Unit: " + std::string(attribute.unit) + ".";
  out["description"] = doc;
  switch (attribute.kind) {
    case ValueKind::kBool:
      out["type"] = "boolean";
      break;
    case ValueKind::kText:
      out["type"] = "string";
      break;
    case ValueKind::kTexts:
      out["type"] = "array";
      out["items"] = {{"type", "string"}};
      out["maxItems"] = 256;
      break;
    case ValueKind::kScalar:
      out["type"] = {"string", "number", "boolean"};
      break;
    case ValueKind::kPairs:
      out["type"] = "object";
      out["additionalProperties"] = {{"type", {"string", "number", "boolean"}}};
      break;
    case ValueKind::kShare:
      out["anyOf"] = {
          {{"type", "integer"}, {"minimum", number(attribute.min)}, {"maximum", number(attribute.max)}},
          {{"type", "string"}, {"pattern", "^[0-9]{1,4}%$"}}};
      break;
    case ValueKind::kInteger:
    case ValueKind::kNumber:
      out["type"] = attribute.kind == ValueKind::kInteger ? "integer" : "number";
      out["minimum"] = number(attribute.min);
      out["maximum"] = number(attribute.max);
      break;
  }
  if (attribute.name.starts_with("expect_scx_bpf_error")) out["minLength"] = 1;
  auto built_in = get_attribute(default_test(), attribute);
  if (!built_in) return out;
  if (const bool* flag = std::get_if<bool>(&*built_in)) out["default"] = *flag;
  if (const int64_t* integer = std::get_if<int64_t>(&*built_in)) out["default"] = *integer;
  if (const double* real = std::get_if<double>(&*built_in)) out["default"] = number(*real);
  return out;
}

OrderedJson table(OrderedJson properties, std::vector<std::string> required = {}) {
  OrderedJson out;
  out["type"] = "object";
  out["additionalProperties"] = false;
  if (!required.empty()) out["required"] = required;
  out["properties"] = std::move(properties);
  return out;
}

OrderedJson text_with(std::string_view description, std::string_view pattern) {
  return {{"description", description}, {"type", "string"}, {"pattern", pattern}};
}

// What the tables cannot say of single attributes: enumerations and patterns.
OrderedJson refined(std::span<const Attribute> attributes) {
  OrderedJson properties;
  for (const Attribute& attribute : attributes) properties[std::string(attribute.name)] = property(attribute);
  auto with_pattern = [&](const char* name, std::string_view pattern) {
    if (properties.contains(name)) properties[name]["pattern"] = pattern;
  };
  with_pattern("name", kNamePattern);
  with_pattern("cpuset", kCpusPattern);
  with_pattern("affinity", kCpusPattern);
  if (properties.contains("work"))
    for (const WorkInfo& info : work_types())
      properties["work"]["enum"].push_back(EnumNameWorkType(info.type));
  if (properties.contains("policy"))
    for (SchedPolicy policy : EnumValuesSchedPolicy())
      properties["policy"]["enum"].push_back(EnumNameSchedPolicy(policy));
  if (properties.contains("phases")) {
    properties["phases"]["items"]["pattern"] = kPhasePattern;
    properties["phases"]["minItems"] = 1;
  }
  return properties;
}

// Each verb has its own form; exactly one must fit.
OrderedJson op_schema() {
  OrderedJson forms = OrderedJson::array();
  for (const OpInfo& op : step_ops()) {
    OrderedJson properties = op.may == "*" ? refined(spawn_attributes()) : OrderedJson::object();
    std::vector<std::string> required = {std::string(op.verb)};
    properties[required[0]] = {{"description", op.doc},
                               {"type", "string"},
                               {"pattern", names_cpus(op.kind) ? kCpusPattern : kNamePattern}};
    for (std::string_view key : {op.needs, op.may}) {
      if (key.empty() || key == "*") continue;
      properties[std::string(key)] = {{"type", "string"},
                                      {"pattern", key == "cpus" ? kCpusPattern : kNamePattern}};
    }
    if (!op.needs.empty()) required.emplace_back(op.needs);
    forms.push_back(table(std::move(properties), required));
  }
  return {{"oneOf", std::move(forms)}};
}

OrderedJson list_of(std::string_view description, size_t max, OrderedJson items) {
  OrderedJson out = {{"description", description}, {"type", "array"}, {"maxItems", max}};
  out["items"] = std::move(items);
  return out;
}

OrderedJson matrix_schema() {
  OrderedJson properties;
  for (const char* name : {"numa_nodes", "llcs", "cores", "threads", "memory_mb", "kernel"}) {
    OrderedJson values = {{"type", "array"}, {"minItems", 1}, {"maxItems", 64}, {"uniqueItems", true}};
    values["items"] = property(*find_attribute(name));
    values["items"].erase("default");
    properties[name] = std::move(values);
  }
  OrderedJson out = table(std::move(properties));
  out["description"] = "One test for each combination of these values.";
  return out;
}

OrderedJson with_test_attributes(OrderedJson properties) {
  for (const Attribute& attribute : test_attributes())
    properties[std::string(attribute.name)] = property(attribute);
  return properties;
}

const char* workers_text(WorkGrouping grouping) {
  switch (grouping) {
    case WorkGrouping::kPairs:
      return "in pairs";
    case WorkGrouping::kFanOut:
      return "multiples of fan_out + 1";
    case WorkGrouping::kContenders:
      return "multiples of contenders";
    case WorkGrouping::kAlone:
      break;
  }
  return "any number";
}

std::string built_in_text(const Attribute& attribute) {
  if (!attribute.built_in.empty()) return std::string(attribute.built_in);
  if (std::string text = work_default_text(attribute.name); !text.empty()) return text;
  auto value = get_attribute(default_test(), attribute);
  return value ? to_toml(*value) : "not set";
}

std::string takes_text(const Attribute& attribute) {
  switch (attribute.kind) {
    case ValueKind::kBool:
      return "true, false";
    case ValueKind::kText:
      return "text";
    case ValueKind::kTexts:
      return "list of texts";
    case ValueKind::kScalar:
      return "text, number, true, false";
    case ValueKind::kPairs:
      return "table of texts and numbers";
    case ValueKind::kShare:
      return to_toml(attribute.min) + " … " + to_toml(attribute.max) + " " + std::string(attribute.unit) +
             ", or a share \"90%\"";
    default:
      return to_toml(attribute.min) + " … " + to_toml(attribute.max) +
             (attribute.unit.empty() ? "" : " " + std::string(attribute.unit)) +
             (attribute.kind == ValueKind::kInteger ? "" : ", fractions allowed");
  }
}

// A bar ends a cell.
std::string in_cell(std::string_view text) {
  std::string out;
  for (char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string markdown_table(std::span<const Attribute> attributes) {
  std::string out = "| attribute | default | takes | meaning |\n|---|---|---|---|\n";
  for (const Attribute& attribute : attributes)
    out += "| `" + std::string(attribute.name) + "` | " + built_in_text(attribute) + " | " +
           takes_text(attribute) + " | " + in_cell(attribute.doc) + " |\n";
  return out;
}

}  // namespace

std::string spec_json_schema() {
  constexpr std::string_view kSchedulerDoc =
      "Name of a [scheduler.NAME] block; \"none\": the kernel's own scheduler.";
  OrderedJson scheduler = table(
      with_test_attributes(
          {{"binary",
            {{"description",
              "A path (relative to the spec), or a name; it is searched in the spec's folder, "
              "--scheduler-dir, "
              "the build tree and PATH."},
             {"type", "string"},
             {"minLength", 1}}},
           {"args", {{"description", "Command line."}, {"type", "array"}, {"items", {{"type", "string"}}}}}}),
      {"binary"});

  OrderedJson test =
      with_test_attributes({{"name", text_with("Name of the test, unique in the file.", kTestNamePattern)},
                            {"scheduler", text_with(kSchedulerDoc, kNamePattern)}});
  test["cgroup"] =
      list_of("Cgroups and the workers in them.", 64, table(refined(cgroup_attributes()), {"name"}));
  test["payload"] = list_of("Programs that run in the VM beside the workers.", 64,
                            table(refined(payload_attributes()), {"name", "binary"}));
  OrderedJson step = refined(step_attributes());
  step["name"]["pattern"] = "^[A-Za-z0-9_][A-Za-z0-9_ .:-]{0,99}$";
  step["ops"] = list_of("Operations, in order.", 256, op_schema());
  test["step"] = list_of("The workload's timeline: operations, then a pause.", 256, table(std::move(step)));
  test["matrix"] = matrix_schema();
  test["bpf_map_write"] = list_of("Values written into the scheduler's maps.", 256,
                                  table(refined(map_write_attributes()), {"map", "value"}));

  OrderedJson root;
  root["$schema"] = "http://json-schema.org/draft-07/schema#";
  root["title"] = "ktstr test spec";
  root["description"] = "docs/specs.md explains every attribute. Made from spec/spec_attributes.cc.";
  OrderedJson defaults = with_test_attributes({{"scheduler", text_with(kSchedulerDoc, kNamePattern)}});
  OrderedJson properties;
  properties["default"] = table(std::move(defaults));
  properties["scheduler"] = {{"type", "object"},
                             {"propertyNames", {{"pattern", kNamePattern}, {"not", {{"const", "none"}}}}}};
  properties["scheduler"]["additionalProperties"] = std::move(scheduler);
  properties["test"] = {{"type", "array"}, {"minItems", 1}, {"maxItems", 1024}};
  properties["test"]["items"] = table(std::move(test), {"name"});
  root.update(table(std::move(properties), {"test"}));
  return json_text(root, 2) + "\n";
}

std::string spec_markdown_tables() {
  std::string out = "### Test attributes\n\n" + markdown_table(test_attributes());
  out += "\n### Attributes of [[test.cgroup]]\n\n" + markdown_table(cgroup_attributes());
  out += "\n### Work types\n\n| work | what a worker does | workers | attributes |\n|---|---|---|---|\n";
  for (const WorkInfo& info : work_types()) {
    std::string params;
    for (char c : info.params) params += c == ' ' ? std::string("`, `") : std::string(1, c);
    out += std::string("| `") + EnumNameWorkType(info.type) + "` | " + std::string(info.doc) + " | " +
           workers_text(info.grouping) + " | " + (params.empty() ? "" : "`" + params + "`") + " |\n";
  }
  out += "\n### Attributes of [[test.payload]]\n\n" + markdown_table(payload_attributes());
  out += "\n### Attributes of [[test.step]]\n\n" + markdown_table(step_attributes());
  out += "\n### Operations of a step\n\n| operation | also takes | meaning |\n|---|---|---|\n";
  for (const OpInfo& op : step_ops()) {
    std::string more(op.needs);
    if (op.may == "*") more = "what [[test.cgroup]] says of workers";
    if (op.may == "cpus") more = "cpus, if wanted";
    out += "| `" + std::string(op.verb) + "` | " + more + " | " + std::string(op.doc) + " |\n";
  }
  out += "\n### Attributes of [[test.bpf_map_write]]\n\n" + markdown_table(map_write_attributes());
  return out;
}

}  // namespace ktstr
