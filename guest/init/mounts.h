// The guest's file systems and kernel settings. Best effort: what fails is reported, and the run goes on.
#pragma once

#include <string>
#include <vector>

namespace ktstr::guest {

// Mounts proc, sys, dev, cgroup2, tracefs, debugfs, bpf and tmpfs file systems. Returns one line for each
// that failed.
std::vector<std::string> mount_file_systems();

// Kernel settings of a test VM: console loglevel (so that sched_ext's messages and oopses appear), schedstats,
// BPF run statistics. Returns one line for each that failed.
std::vector<std::string> apply_kernel_settings(bool verbose_console);

// Enables the cpuset and cpu controllers below the root group. Done before any load runs, because it waits
// for a grace period.
std::vector<std::string> enable_cgroup_controllers();

}  // namespace ktstr::guest
