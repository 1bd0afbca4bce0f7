// ktstr_spec_docs schema|tables: prints what docs/ktstr-spec.schema.json holds, or the tables of
// docs/specs.md. Reads nothing; a tool for who changes spec/spec_attributes.cc. Not installed.
#include <cstdio>
#include <string_view>

#include "spec/spec_docs.h"

int main(int argc, char** argv) {
  std::string_view what = argc == 2 ? argv[1] : "";
  if (what != "schema" && what != "tables") {
    std::fputs("usage: ktstr_spec_docs schema|tables\n", stderr);
    return 2;
  }
  std::string text = what == "schema" ? ktstr::spec_json_schema() : ktstr::spec_markdown_tables();
  std::fputs(text.c_str(), stdout);
  return 0;
}
