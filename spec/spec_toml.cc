// TOML to RawSpec: keys, types and ranges of single values. spec.cc checks what depends on two values.

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>

#include "base/wording.h"
#include "spec/raw_spec.h"

namespace ktstr {
namespace {

constexpr size_t kMaxTests = 1024;
constexpr size_t kMaxCgroups = 64;
constexpr size_t kMaxArgs = 256;
constexpr size_t kMaxMapWrites = 256;
constexpr size_t kMaxPayloads = 64;
constexpr size_t kMaxSteps = 256;
constexpr size_t kMaxOps = 256;  // of one step
constexpr size_t kMaxAxisValues = 64;
constexpr size_t kMaxTextBytes = 4096;

unsigned line_of(const toml::node& node) { return node.source().begin.line; }
unsigned line_of(const toml::key& key) { return key.source().begin.line; }

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

// What keys a table may have, for the checks and for "did you mean".
struct Vocabulary {
  std::string_view place;  // "[[test]]"
  std::span<const Attribute> attributes;
  std::vector<std::string_view> structural;  // handled by the caller: name, scheduler, cgroup, binary, args

  std::vector<std::string> names() const {
    std::vector<std::string> out(structural.begin(), structural.end());
    for (const Attribute& attribute : attributes) out.emplace_back(attribute.name);
    return out;
  }
};

const Vocabulary kDefaultWords{"[default]", test_attributes(), {"scheduler"}};
const Vocabulary kSchedulerWords{"[scheduler.NAME]", test_attributes(), {"binary", "args"}};
const Vocabulary kTestWords{"[[test]]",
                            test_attributes(),
                            {"name", "scheduler", "cgroup", "payload", "step", "matrix", "bpf_map_write"}};
const Vocabulary kCgroupWords{"[[test.cgroup]]", cgroup_attributes(), {}};
const Vocabulary kPayloadWords{"[[test.payload]]", payload_attributes(), {}};
const Vocabulary kStepWords{"[[test.step]]", step_attributes(), {"ops"}};
const Vocabulary kMapWriteWords{"[[test.bpf_map_write]]", map_write_attributes(), {}};

// Keys of an operation: the verbs, what they need, and what a spawn takes.
std::span<const Attribute> op_attributes() {
  static const std::vector<Attribute> kAll = [] {
    std::vector<Attribute> all(spawn_attributes().begin(), spawn_attributes().end());
    for (const OpInfo& op : step_ops())
      all.push_back({.name = op.verb, .kind = ValueKind::kText, .field = {}});
    for (const char* key : {"cpus", "with", "to"})
      all.push_back({.name = key, .kind = ValueKind::kText, .field = {}});
    return all;
  }();
  return kAll;
}

// What a matrix may vary.
constexpr std::string_view kMatrixAxes[] = {"numa_nodes", "llcs", "cores", "threads", "memory_mb", "kernel"};

class Reader {
 public:
  explicit Reader(SpecErrors& errors) : errors_(errors) {}

  RawSpec read(const toml::table& root) {
    RawSpec spec;
    static const std::vector<std::string> kTop = {"default", "scheduler", "test"};
    for (const auto& [key, node] : root) {
      if (key == "default") {
        if (const toml::table* table = want_table(key, node, "write it as [default]"))
          read_default(*table, spec);
      } else if (key == "scheduler") {
        if (const toml::table* table = want_table(key, node, "write it as [scheduler.NAME]"))
          read_schedulers(*table, spec);
      } else if (key == "test") {
        for (const toml::table* table : want_tables(key, node, "[[test]]", kMaxTests))
          spec.tests.push_back(read_test(*table));
      } else if (find_attribute(key.str())) {
        errors_.add(line_of(key), in_quotes(key.str()) + " is outside of any table",
                    "move it under [default], [scheduler.NAME] or [[test]]");
      } else {
        errors_.add(line_of(key), "unknown table " + in_quotes(key.str()) + did_you_mean(key.str(), kTop),
                    "a spec holds [default], [scheduler.NAME] and [[test]]");
      }
    }
    return spec;
  }

 private:
  const toml::table* want_table(const toml::key& key, const toml::node& node, std::string_view hint) {
    if (const toml::table* table = node.as_table()) return table;
    errors_.add(line_of(key), in_quotes(key.str()) + " wants a table, has " + std::string(type_name(node)),
                hint);
    return nullptr;
  }

  std::vector<const toml::table*> want_tables(const toml::key& key, const toml::node& node,
                                              std::string_view form, size_t max) {
    std::vector<const toml::table*> out;
    const toml::array* array = node.as_array();
    if (!array) {
      errors_.add(line_of(key),
                  in_quotes(key.str()) + " wants a list of tables, has " + std::string(type_name(node)),
                  "write each as " + std::string(form) + ", with two brackets");
      return out;
    }
    for (const toml::node& element : *array) {
      if (out.size() == max) {
        errors_.add(line_of(element),
                    "more than " + std::to_string(max) + " " + std::string(form) + " tables",
                    "split the spec");
        break;
      }
      if (const toml::table* table = element.as_table())
        out.push_back(table);
      else
        errors_.add(line_of(element),
                    in_quotes(key.str()) + " wants a list of tables, has " + std::string(type_name(element)) +
                        " in it",
                    "write each as " + std::string(form));
    }
    return out;
  }

  std::optional<Located<std::string>> want_text(std::string_view name, const toml::node& node, unsigned line,
                                                size_t most = kMaxTextBytes) {
    const toml::value<std::string>* text = node.as_string();
    if (!text) {
      errors_.add(line, in_quotes(name) + " wants a text in quotes, has " + std::string(type_name(node)));
      return std::nullopt;
    }
    const std::string& value = text->get();
    if (value.size() > most) {
      errors_.add(line, in_quotes(name) + " is longer than " + std::to_string(most) + " bytes");
      return std::nullopt;
    }
    if (value.find('\0') != std::string::npos) {
      errors_.add(line, in_quotes(name) + " has a NUL character in it");
      return std::nullopt;
    }
    return Located<std::string>{value, line};
  }

  void read_default(const toml::table& table, RawSpec& spec) {
    for (const auto& [key, node] : table) {
      if (key == "scheduler")
        spec.default_scheduler = want_text(key.str(), node, line_of(key));
      else
        read_attribute(key, node, kDefaultWords, spec.defaults);
    }
  }

  void read_schedulers(const toml::table& table, RawSpec& spec) {
    for (const auto& [key, node] : table) {
      const toml::table* block = node.as_table();
      if (!block) {
        errors_.add(
            line_of(key),
            "scheduler " + in_quotes(key.str()) + " wants a table, has " + std::string(type_name(node)),
            "write it as [scheduler.NAME]");
        continue;
      }
      RawScheduler& scheduler = spec.schedulers[std::string(key.str())];
      scheduler.line = line_of(key);
      for (const auto& [name, value] : *block) {
        if (name == "binary")
          scheduler.binary = want_text(name.str(), value, line_of(name));
        else if (name == "args")
          scheduler.args = want_texts("args", value, line_of(name)).value_or(std::vector<std::string>());
        else
          read_attribute(name, value, kSchedulerWords, scheduler.attributes);
      }
    }
  }

  std::optional<std::vector<std::string>> want_texts(std::string_view name, const toml::node& node,
                                                     unsigned line) {
    const toml::array* array = node.as_array();
    if (!array) {
      errors_.add(line, in_quotes(name) + " wants a list of texts, has " + std::string(type_name(node)),
                  "for example " + std::string(name) + " = [\"--fail-after\", \"500\"]");
      return std::nullopt;
    }
    if (array->size() > kMaxArgs) {
      errors_.add(line, in_quotes(name) + " has more than " + std::to_string(kMaxArgs) + " texts");
      return std::nullopt;
    }
    std::vector<std::string> texts;
    for (const toml::node& element : *array) {
      if (!element.is_string()) {
        errors_.add(
            line_of(element),
            in_quotes(name) + " wants a list of texts, has " + std::string(type_name(element)) + " in it",
            "put it in quotes");
        continue;
      }
      if (auto text = want_text(name, element, line_of(element))) texts.push_back(std::move(text->value));
    }
    return texts;
  }

  RawTest read_test(const toml::table& table) {
    RawTest test;
    test.line = line_of(table);
    for (const auto& [key, node] : table) {
      if (key == "name") {
        test.name = want_text(key.str(), node, line_of(key));
        if (!test.name) test.name = Located<std::string>{"", 0};  // already told: not "missing" as well
      } else if (key == "scheduler") {
        test.scheduler = want_text(key.str(), node, line_of(key));
        if (!test.scheduler) test.scheduler = Located<std::string>{"none", line_of(key)};
      } else if (key == "cgroup") {
        test.cgroups = read_tables(key, node, kCgroupWords, kMaxCgroups);
      } else if (key == "payload") {
        test.payloads = read_tables(key, node, kPayloadWords, kMaxPayloads);
      } else if (key == "step") {
        test.steps = read_steps(key, node);
      } else if (key == "matrix") {
        if (const toml::table* matrix = want_table(key, node, "write it as [test.matrix]"))
          test.matrix = read_matrix(*matrix);
      } else if (key == "bpf_map_write") {
        test.map_writes = read_tables(key, node, kMapWriteWords, kMaxMapWrites);
      } else {
        read_attribute(key, node, kTestWords, test.attributes);
      }
    }
    return test;
  }

  std::vector<RawTable> read_tables(const toml::key& key, const toml::node& node, const Vocabulary& words,
                                    size_t max) {
    std::vector<RawTable> out;
    for (const toml::table* table : want_tables(key, node, words.place, max)) {
      RawTable& raw = out.emplace_back();
      raw.line = line_of(*table);
      for (const auto& [name, value] : *table) read_attribute(name, value, words, raw.values);
    }
    return out;
  }

  std::vector<RawStep> read_steps(const toml::key& key, const toml::node& node) {
    std::vector<RawStep> steps;
    for (const toml::table* table : want_tables(key, node, "[[test.step]]", kMaxSteps)) {
      RawStep& step = steps.emplace_back();
      step.head.line = line_of(*table);
      for (const auto& [name, value] : *table) {
        if (name == "ops")
          read_ops(name, value, step);
        else
          read_attribute(name, value, kStepWords, step.head.values);
      }
    }
    return steps;
  }

  void read_ops(const toml::key& key, const toml::node& node, RawStep& step) {
    static const Vocabulary kOpWords{"an operation", op_attributes(), {}};
    const toml::array* array = node.as_array();
    if (!array) {
      errors_.add(line_of(key), "\"ops\" wants a list of operations, has " + std::string(type_name(node)),
                  "for example ops = [{ spawn = \"io\", workers = 2 }]");
      return;
    }
    if (array->size() > kMaxOps)
      errors_.add(line_of(key), "\"ops\" has more than " + std::to_string(kMaxOps) + " operations");
    for (const toml::node& element : *array) {
      const toml::table* table = element.as_table();
      if (!table) {
        errors_.add(line_of(element),
                    "\"ops\" wants a list of operations, has " + std::string(type_name(element)) + " in it",
                    "write each as { VERB = \"NAME\" }");
        continue;
      }
      RawTable& op = step.ops.emplace_back();
      op.line = line_of(element);
      size_t before = errors_.count();
      for (const auto& [name, value] : *table) read_attribute(name, value, kOpWords, op.values);
      if (errors_.count() != before) step.ops.pop_back();  // told; not "without a verb" as well
    }
  }

  std::vector<RawAxis> read_matrix(const toml::table& table) {
    std::vector<RawAxis> axes;
    for (const auto& [key, node] : table) {
      std::string name(key.str());
      unsigned line = line_of(key);
      if (std::find(std::begin(kMatrixAxes), std::end(kMatrixAxes), name) == std::end(kMatrixAxes)) {
        std::vector<std::string> known(std::begin(kMatrixAxes), std::end(kMatrixAxes));
        std::string all;
        for (const std::string& axis : known) all += (all.empty() ? "" : ", ") + axis;
        std::string near = closest(name, known);
        errors_.add(line, "a matrix does not go over " + in_quotes(name),
                    near.empty() ? "it goes over " + all : "did you mean \"" + near + "\"?");
        continue;
      }
      const toml::array* values = node.as_array();
      if (!values || values->empty() || values->size() > kMaxAxisValues) {
        errors_.add(line,
                    in_quotes(name) + " of a matrix wants a list of 1 to " + std::to_string(kMaxAxisValues) +
                        " values",
                    "for example cores = [2, 4]");
        continue;
      }
      RawAxis axis{.name = name, .values = {}, .line = line};
      for (const toml::node& value : *values)
        if (auto one = typed(*find_attribute(name), value, line_of(value)))
          axis.values.push_back(std::move(*one));
      if (!axis.values.empty()) axes.push_back(std::move(axis));
    }
    // In the order of the lines: a table's keys come sorted by name.
    std::stable_sort(axes.begin(), axes.end(),
                     [](const RawAxis& a, const RawAxis& b) { return a.line < b.line; });
    return axes;
  }

  void read_attribute(const toml::key& key, const toml::node& node, const Vocabulary& words,
                      RawLayer& layer) {
    std::string_view name = key.str();
    unsigned line = line_of(key);
    for (const Attribute& attribute : words.attributes) {
      if (attribute.name != name) continue;
      if (auto value = typed(attribute, node, line)) layer[std::string(name)] = {std::move(*value), line};
      return;
    }
    std::string where = " in " + std::string(words.place);
    std::string hint;
    std::string meant = closest(name, words.names());
    if (!meant.empty())
      hint = "did you mean \"" + meant + "\"?";
    else if (find_attribute(name))
      hint = "it belongs in [[test]]";
    else
      hint = "docs/specs.md lists all attributes";
    errors_.add(line, "unknown attribute " + in_quotes(name) + where, hint);
  }

  std::optional<SpecValue> typed(const Attribute& attribute, const toml::node& node, unsigned line) {
    auto mismatch = [&]() -> std::optional<SpecValue> {
      std::string hint;
      if (node.is_string() && attribute.kind != ValueKind::kText && attribute.kind != ValueKind::kScalar)
        hint = "write it without quotes";
      if (node.is_integer() && attribute.kind == ValueKind::kText) hint = "put it in quotes";
      errors_.add(line,
                  in_quotes(attribute.name) + " wants " + wanted_text(attribute) + ", has " +
                      std::string(type_name(node)),
                  hint);
      return std::nullopt;
    };
    switch (attribute.kind) {
      case ValueKind::kTexts:
        return want_texts(attribute.name, node, line);
      case ValueKind::kPairs:
        return want_pairs(attribute, node, line);
      case ValueKind::kScalar:
        if (const auto* flag = node.as_boolean()) return flag->get();
        if (const auto* integer = node.as_integer()) return integer->get();
        if (const auto* real = node.as_floating_point()) return real->get();
        if (!node.is_string()) return mismatch();
        if (auto text = want_text(attribute.name, node, line)) return std::move(text->value);
        return std::nullopt;
      case ValueKind::kBool:
        if (const auto* flag = node.as_boolean()) return flag->get();
        return mismatch();
      case ValueKind::kText:
        if (!node.is_string()) return mismatch();
        if (auto text = want_text(attribute.name, node, line,
                                  attribute.max > 0 ? static_cast<size_t>(attribute.max) : kMaxTextBytes))
          return std::move(text->value);
        return std::nullopt;
      case ValueKind::kShare:
        if (const auto* text = node.as_string()) {
          if (parse_share(text->get())) return SpecValue(text->get());
          return mismatch();
        }
        [[fallthrough]];
      case ValueKind::kInteger:
        if (const auto* integer = node.as_integer())
          return in_range(attribute, static_cast<double>(integer->get()), line, integer->get());
        return mismatch();
      case ValueKind::kNumber:
        if (const auto* integer = node.as_integer())
          return in_range(attribute, static_cast<double>(integer->get()), line, integer->get());
        if (const auto* real = node.as_floating_point())
          return in_range(attribute, real->get(), line, real->get());
        return mismatch();
    }
    return std::nullopt;
  }

  std::optional<SpecValue> want_pairs(const Attribute& attribute, const toml::node& node, unsigned line) {
    const toml::table* table = node.as_table();
    if (!table || table->size() > kMaxArgs) {
      errors_.add(line,
                  in_quotes(attribute.name) +
                      (table ? " has more than " + std::to_string(kMaxArgs) + " keys"
                             : " wants " + wanted_text(attribute) + ", has " + std::string(type_name(node))),
                  "for example " + std::string(attribute.name) + " = { \"NAME\" = \"value\" }");
      return std::nullopt;
    }
    const Attribute one{.name = attribute.name, .kind = ValueKind::kScalar, .field = {}};
    SpecPairs pairs;
    for (const auto& [key, value] : *table)
      if (auto scalar = typed(one, value, line_of(key)))
        pairs[std::string(key.str())] =
            std::holds_alternative<std::string>(*scalar) ? std::get<std::string>(*scalar) : to_toml(*scalar);
    return pairs;
  }

  template <typename T>
  std::optional<SpecValue> in_range(const Attribute& attribute, double number, unsigned line, T value) {
    if (number >= attribute.min && number <= attribute.max) return SpecValue(value);  // false for NaN
    std::string has = std::isfinite(number) ? to_toml(SpecValue(value)) : std::isnan(number) ? "nan" : "inf";
    errors_.add(line, in_quotes(attribute.name) + " = " + has + " is out of range",
                "it takes " + wanted_text(attribute));
    return std::nullopt;
  }

  SpecErrors& errors_;
};

}  // namespace

RawSpec read_toml(std::string_view text, const std::string& path, SpecErrors& errors) {
  try {
    toml::table root = toml::parse(text, path);
    return Reader(errors).read(root);
  } catch (const toml::parse_error& e) {
    errors.add(e.source().begin.line, "not valid TOML: " + std::string(e.description()));
  } catch (const std::exception& e) {
    errors.add(0, "not valid TOML: " + std::string(e.what()));
  }
  return {};
}

}  // namespace ktstr
