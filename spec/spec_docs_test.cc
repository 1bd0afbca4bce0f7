// The documents in docs/ are those that the table of attributes makes.
#include "spec/spec_docs.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "spec/spec.h"

namespace ktstr {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(std::string(KTSTR_DOCS_DIR) + "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(SpecDocsTest, TheSchemaFileIsCurrent) {
  EXPECT_TRUE(read("ktstr-spec.schema.json") == spec_json_schema())
      << "run: ktstr_spec_docs schema > docs/ktstr-spec.schema.json";
}

TEST(SpecDocsTest, TheManualsTablesAreCurrent) {
  EXPECT_NE(read("specs.md").find(spec_markdown_tables()), std::string::npos)
      << "put the output of `ktstr_spec_docs tables` into docs/specs.md";
}

// Every TOML example of the manual is a spec that the reader takes.
TEST(SpecDocsTest, TheManualsExamplesAreGood) {
  std::string manual = read("specs.md");
  int examples = 0;
  for (size_t at = manual.find("```toml\n"); at != std::string::npos; at = manual.find("```toml\n", at)) {
    at += 8;
    std::string text = manual.substr(at, manual.find("```", at) - at);
    auto tests = parse_tests(text, "docs/specs.md", {});
    EXPECT_TRUE(tests.ok()) << tests.error().to_string() << "\n" << text;
    ++examples;
  }
  EXPECT_GE(examples, 3);
}

}  // namespace
}  // namespace ktstr
