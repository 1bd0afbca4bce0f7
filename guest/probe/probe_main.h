#pragma once

namespace ktstr::probe {

// Command line, plan, session. Exit codes: 0 init is gone, 1 a system call failed, 2 wrong command line or
// plan.
int probe_main(int argc, char** argv);

}  // namespace ktstr::probe
