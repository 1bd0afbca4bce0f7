// Lines of a file of scx/testdata, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace ktstr::testing {

inline std::vector<std::string> lines_of(const std::string& name) {
  std::ifstream file(std::string(KTSTR_TESTDATA) + "/" + name);
  EXPECT_TRUE(file.is_open()) << name;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace ktstr::testing
