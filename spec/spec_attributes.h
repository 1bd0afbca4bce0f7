// Every attribute that a test spec may set, as one table: the reader, the checks, `show`, the JSON Schema and
// docs/specs.md are all made from it, so they cannot disagree.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "schemas/spec_generated.h"

namespace ktstr {

// The value of an attribute as the spec gives it, in the attribute's own unit.
using SpecTexts = std::vector<std::string>;
using SpecPairs = std::map<std::string, std::string>;
using SpecValue = std::variant<bool, int64_t, double, std::string, SpecTexts, SpecPairs>;

// Where in a test an attribute is kept. monostate: it shapes other values (workers_per_cgroup, extra_args), or is set by the
// reader (spec_start.cc).
using SpecField =
    std::variant<std::monostate, bool TestSpecT::*, uint32_t TestSpecT::*, uint64_t TestSpecT::*,
                 float TestSpecT::*, std::string TestSpecT::*, SpecTexts TestSpecT::*, uint32_t TopologyT::*>;

// kTexts: a list of texts; later layers append to it. kPairs: a table of scalars; layers are merged by key. kScalar: a text, a
// number, true or false, kept as the author wrote it. kShare: a whole number within bounds, or a text "90%" (1% to 1000%).
enum class ValueKind { kBool, kInteger, kNumber, kText, kTexts, kScalar, kPairs, kShare };

struct Attribute {
  std::string_view name;
  ValueKind kind;
  SpecField field;
  double scale = 1;  // field = value * scale; 1e9 for seconds kept as nanoseconds
  double min = 0;    // bounds of a number, inclusive, in the attribute's unit
  double max = 0;    // of a kText: bytes; 0: 4096
  std::string_view unit;
  std::string_view doc;       // one sentence for the manual
  std::string_view built_in;  // default for the manual where no field holds one
  // What an author gets unasked, where that is not the field's own default: a log that lacks the field keeps
  // the older meaning "not checked".
  std::optional<double> given = std::nullopt;
};

// Attributes that are allowed in [default], [scheduler.NAME] and [[test]], in the order of the manual.
std::span<const Attribute> test_attributes();
const Attribute* find_attribute(std::string_view name);

// A test as it is before an author says anything: fields' defaults, and what the table gives on top.
TestSpecT default_test();

// Attributes of the tables inside a test (spec_tables.cc); their fields are set by the reader.
std::span<const Attribute> cgroup_attributes();  // [[test.cgroup]]
std::span<const Attribute>
spawn_attributes();  // an operation `spawn`: those of a cgroup that say what workers do
std::span<const Attribute> payload_attributes();    // [[test.payload]]
std::span<const Attribute> step_attributes();       // [[test.step]], less `ops`
std::span<const Attribute> map_write_attributes();  // [[test.bpf_map_write]]

// 90 of "90%"; nullopt: no share.
std::optional<unsigned> parse_share(std::string_view text);

// How CPUs may be written, for messages.
std::string_view cpus_forms();

// An operation of a step: `{ VERB = "NAME", … }`, or `{ VERB = "CPUS" }`.
struct OpInfo {
  OpKind kind;
  std::string_view verb;
  std::string_view needs;  // the other key that it must have; empty: none
  std::string_view may;    // the other key that it may have; "*": those of a spawn
  std::string_view doc;
};
std::span<const OpInfo> step_ops();
// Its verb stands before CPUs, not before a name: `{ offline = "2-3" }`.
bool names_cpus(OpKind kind);

// REQUIRES: `value` is of the attribute's kind and within its bounds; test.topology is set.
void set_attribute(TestSpecT& test, const Attribute& attribute, const SpecValue& value);

// The value that `test` holds; nullopt for an empty text and for attributes without a field.
std::optional<SpecValue> get_attribute(const TestSpecT& test, const Attribute& attribute);

// REQUIRES: an integer or a number.
double as_number(const SpecValue& value);

// As TOML writes it: true, 5, 0.5, "text".
std::string to_toml(const SpecValue& value);

// "a whole number from 1 to 64", "true or false", "a text": what the attribute takes.
std::string wanted_text(const Attribute& attribute);

}  // namespace ktstr
