#include "schemas/spec_docs.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "schemas/spec_attributes.h"
#include "schemas/test_spec.h"

namespace ktstr {
namespace {

using Json = nlohmann::ordered_json;

// The same limits that the reader sets.
constexpr std::string_view kNamePattern = "^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$";
constexpr std::string_view kTestNamePattern = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$";
constexpr std::string_view kCpuListPattern = "^ *[0-9]+ *(- *[0-9]+ *)?(, *[0-9]+ *(- *[0-9]+ *)?)*$";

Json number(double value) {
  if (value == std::floor(value)) return static_cast<int64_t>(value);
  return value;
}

Json property(const Attribute& attribute) {
  Json out;
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

Json table(Json properties, std::vector<std::string> required = {}) {
  Json out;
  out["type"] = "object";
  out["additionalProperties"] = false;
  if (!required.empty()) out["required"] = required;
  out["properties"] = std::move(properties);
  return out;
}

Json text_with(std::string_view description, std::string_view pattern) {
  return {{"description", description}, {"type", "string"}, {"pattern", pattern}};
}

Json cgroup_schema() {
  Json properties;
  for (const Attribute& attribute : cgroup_attributes())
    properties[std::string(attribute.name)] = property(attribute);
  properties["name"]["pattern"] = kNamePattern;
  properties["cpuset"]["pattern"] = kCpuListPattern;
  for (const WorkInfo& info : work_types()) properties["work"]["enum"].push_back(EnumNameWorkType(info.type));
  return table(std::move(properties), {"name"});
}

Json with_test_attributes(Json properties) {
  for (const Attribute& attribute : test_attributes())
    properties[std::string(attribute.name)] = property(attribute);
  return properties;
}

std::string built_in_text(const Attribute& attribute) {
  if (!attribute.built_in.empty()) return std::string(attribute.built_in);
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
    default:
      return to_toml(attribute.min) + " … " + to_toml(attribute.max) +
             (attribute.unit.empty() ? "" : " " + std::string(attribute.unit)) +
             (attribute.kind == ValueKind::kInteger ? "" : ", fractions allowed");
  }
}

std::string markdown_table(std::span<const Attribute> attributes) {
  std::string out = "| attribute | default | takes | meaning |\n|---|---|---|---|\n";
  for (const Attribute& attribute : attributes)
    out += "| `" + std::string(attribute.name) + "` | " + built_in_text(attribute) + " | " +
           takes_text(attribute) + " | " + std::string(attribute.doc) + " |\n";
  return out;
}

}  // namespace

std::string spec_json_schema() {
  constexpr std::string_view kSchedulerDoc =
      "Name of a [scheduler.NAME] block; \"none\": the kernel's own scheduler.";
  Json scheduler = table(
      with_test_attributes(
          {{"binary",
            {{"description",
              "A path (relative to the spec), or a name looked for beside the spec, in --scheduler-dir, the "
              "build "
              "tree and PATH."},
             {"type", "string"},
             {"minLength", 1}}},
           {"args", {{"description", "Command line."}, {"type", "array"}, {"items", {{"type", "string"}}}}}}),
      {"binary"});

  Json test = with_test_attributes(
      {{"name", text_with("Name of the test, its own within the file.", kTestNamePattern)},
       {"scheduler", text_with(kSchedulerDoc, kNamePattern)}});
  test["cgroup"] = {{"description", "Cgroups and the workers in them."}, {"type", "array"}, {"maxItems", 64}};
  test["cgroup"]["items"] = cgroup_schema();

  Json writes;
  for (const Attribute& attribute : map_write_attributes())
    writes[std::string(attribute.name)] = property(attribute);
  test["bpf_map_write"] = {
      {"description", "Values written into the scheduler's maps."}, {"type", "array"}, {"maxItems", 256}};
  test["bpf_map_write"]["items"] = table(std::move(writes), {"map", "value"});

  Json root;
  root["$schema"] = "http://json-schema.org/draft-07/schema#";
  root["title"] = "ktstr test spec";
  root["description"] = "docs/specs.md explains every attribute. Made from schemas/spec_attributes.cc.";
  Json defaults = with_test_attributes({{"scheduler", text_with(kSchedulerDoc, kNamePattern)}});
  Json properties;
  properties["default"] = table(std::move(defaults));
  properties["scheduler"] = {{"type", "object"},
                             {"propertyNames", {{"pattern", kNamePattern}, {"not", {{"const", "none"}}}}}};
  properties["scheduler"]["additionalProperties"] = std::move(scheduler);
  properties["test"] = {{"type", "array"}, {"minItems", 1}, {"maxItems", 1024}};
  properties["test"]["items"] = table(std::move(test), {"name"});
  root.update(table(std::move(properties), {"test"}));
  return root.dump(2) + "\n";
}

std::string spec_markdown_tables() {
  std::string out = "### Test attributes\n\n" + markdown_table(test_attributes());
  out += "\n### Cgroup attributes\n\n" + markdown_table(cgroup_attributes());
  out += "\n### Attributes of [[test.bpf_map_write]]\n\n" + markdown_table(map_write_attributes());
  out += "\n### Work types\n\n| work | what a worker does | |\n|---|---|---|\n";
  for (const WorkInfo& info : work_types())
    out += std::string("| `") + EnumNameWorkType(info.type) + "` | " + std::string(info.doc) + " | " +
           (info.pairs     ? "even number of workers"
            : info.lengths ? "`burst_ms`, `pause_ms`"
                           : "") +
           " |\n";
  return out;
}

}  // namespace ktstr
