// [test.matrix]: one test for each combination of its values, named NAME[cores=4,kernel=7.2].
#include <algorithm>
#include <set>

#include "base/wording.h"
#include "spec/spec_resolve.h"

namespace ktstr {
namespace {

constexpr size_t kMaxCells = 256;

// A value as a part of a folder's name and of a filter expression.
std::string cell_text(const SpecValue& value) {
  std::string text = scalar_text(value);
  for (char& c : text)
    if (!good_name(std::string("x") + c, ".")) c = '_';
  return text;
}

}  // namespace

std::vector<RawTest> expand_matrix(const RawTest& raw, SpecErrors& errors) {
  std::vector<RawTest> cells = {raw};
  for (const RawAxis& axis : raw.matrix) {
    std::set<std::string> seen;
    for (const SpecValue& value : axis.values)
      if (!seen.insert(cell_text(value)).second)
        errors.add(axis.line, "matrix: " + axis.name + " has " + to_toml(value) + " twice", "take one out");
    if (cells.size() * axis.values.size() > kMaxCells) {
      errors.add(axis.line, "the matrix has more than " + std::to_string(kMaxCells) + " cells",
                 "split the test");
      return {raw};
    }
    std::vector<RawTest> next;
    for (const RawTest& cell : cells) {
      for (const SpecValue& value : axis.values) {
        RawTest& test = next.emplace_back(cell);
        test.attributes[axis.name] = {value, axis.line};
        test.cell += (test.cell.empty() ? "" : ",") + axis.name + "=" + cell_text(value);
      }
    }
    if (!next.empty()) cells = std::move(next);
  }
  return cells;
}

}  // namespace ktstr
