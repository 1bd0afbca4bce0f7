// scx_segv: its process reads through a null pointer two seconds after the attach. The kernel then takes
// the scheduler out, as with any whose process dies.
#include <cstdio>

#include "tests/schedulers/common/scx_user.h"

namespace {

struct Report {
  unsigned width;
};

// Stands for a report that is only made in the first two seconds.
const volatile Report* find_report(unsigned second) {
  static const Report report{.width = 8};
  return second < 2 ? &report : nullptr;
}

void print_report(unsigned second) {
  std::printf("[segv] %*u s\n", static_cast<int>(find_report(second)->width), second);
}

}  // namespace

int main(int argc, char** argv) { return scx::run({.name = "segv", .on_tick = print_report}, argc, argv); }
