// The first lines of the kernel's messages about its own trouble: which sort each one is.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "schemas/crash_generated.h"

namespace ktstr {

struct FaultHead {
  FaultKind kind = FaultKind::OtherBug;
  std::string title;     // "NULL pointer dereference", "invalid wait context", "soft lockup"
  std::string function;  // where the line itself says that it was; empty: it does not
  std::string file;
  uint32_t line = 0;
  std::string comm;
  int pid = 0;
  int cpu = -1;
  uint32_t seconds = 0;  // it says how long something took
  bool follows = false;  // it adds nothing to an oops whose cause was told in the lines before
};

// `text`: a line less stamps and prefixes. nullopt: no message of this sort begins here.
std::optional<FaultHead> parse_fault_head(std::string_view text);

// It says how long something took: a machine that was not run can cause it too.
bool measures_time(FaultKind kind);

// "Oops", "kernel BUG", "kernel panic", "soft lockup": one name for each sort, for people.
std::string_view fault_name(FaultKind kind);

}  // namespace ktstr
