// The tests of this binary, in the order of their files and lines, and their list for ktstr-launch.
#pragma once

#include <string>
#include <vector>

#include "ktstr/result.h"
#include "ktstr/test.h"

namespace ktstr {

struct RegisteredTest {
  std::string name;
  std::string file;
  unsigned line = 0;
  TestOptions (*options)() = nullptr;
  TestBody body = nullptr;
};

const std::vector<RegisteredTest>& registered_tests();
const RegisteredTest* find_test(const std::string& name);

// The list that ktstr-launch asks for: a TOML spec, so that it goes through the same checks as one that was
// written by hand. A line
// "#@ FILE:LINE" is before what came from there. Error: two tests of one name, with both places.
inline constexpr char kListHead[] = "# ktstr test list 1\n";
Result<std::string> list_as_toml(const std::vector<RegisteredTest>& tests);

}  // namespace ktstr
