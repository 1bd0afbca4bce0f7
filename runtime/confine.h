// What a helper process gives up before it reads a guest's bytes: a seccomp filter for its whole life, and, where the host's
// kernel has Landlock, the files outside a few folders. A helper that a guest breaks into can then start no program, open no
// network connection, trace no process and load nothing into the kernel.
//
// Call it before the process has a second thread: Landlock binds the calling thread and its later children.
// Source: seccomp(2), landlock(7); Linux 5.13 and later for Landlock.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace ktstr {

struct Confinement {
  // It may fork (the monitor's guard process); it can never execute a program.
  bool may_fork = false;
  // Not empty: no other files but these and below, and the system's own libraries and tables.
  std::vector<std::string> readable;
  std::vector<std::string> writable;  // also readable
};

// kUnsupported: the host's kernel lacks seccomp or Landlock; what it has is in force then. Other errors: nothing is sure.
Status confine(const Confinement& wanted);

}  // namespace ktstr
