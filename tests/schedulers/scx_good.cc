// scx_good: runs until it is told to stop, and prints a status line a second.
#include "tests/schedulers/common/scx_user.h"

int main(int argc, char** argv) { return scx::run({.name = "good"}, argc, argv); }
