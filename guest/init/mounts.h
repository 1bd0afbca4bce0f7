// The guest's file systems and kernel settings. Best effort: what fails is reported, and the run goes on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {
struct TestSpecT;
}

namespace ktstr::guest {

// Mounts proc, sys, dev, cgroup2, tracefs, debugfs, bpf and tmpfs file systems. Returns one line for each
// that failed.
std::vector<std::string> mount_file_systems();

// The rest of what programs of a Debian system find: /dev/fd and its kin, /run/lock, a host name, the loopback device up,
// root's resource limits. Returns one line for each that failed.
std::vector<std::string> set_up_userland();

// `sysctl` of the spec. The first that the kernel refuses is the error: the test would not be the one that was asked for.
Status apply_sysctls(const TestSpecT& spec);

// Kernel settings of every test VM: console loglevel (so that sched_ext's messages and oopses appear), schedstats, BPF run
// statistics. Returns one line for each that failed.
std::vector<std::string> apply_kernel_settings();
// Debug messages on the console, too.
Status set_verbose_console();

// After a restore from a template: the wall clock has stood still since, and every VM of it has the same random state.
Status set_wall_clock(uint64_t unix_ns);
// From here on, what the kernel gives out as random depends on `bytes`.
Status stir_random(std::span<const uint8_t> bytes);

// Enables the cpuset and cpu controllers below the root group. Done before any load runs, because it waits
// for a grace period.
std::vector<std::string> enable_cgroup_controllers();

}  // namespace ktstr::guest
