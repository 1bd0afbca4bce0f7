// The documents that are made from the table of attributes, so that they cannot drift from the reader:
// docs/ktstr-spec.schema.json in full, and the tables of docs/specs.md. spec_docs_test.cc holds them to it;
// `ktstr_spec_docs schema|tables` prints them.
#pragma once

#include <string>

namespace ktstr {

// JSON Schema (draft 7) of a spec's TOML, for editors. It knows single values only: what takes two values to
// judge (a cpuset beyond the topology, a pin without expect_err) is the reader's.
std::string spec_json_schema();

// Markdown tables: test attributes, cgroup attributes, work types.
std::string spec_markdown_tables();

}  // namespace ktstr
