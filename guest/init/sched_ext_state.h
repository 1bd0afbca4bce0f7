// What the kernel says about sched_ext: /sys/kernel/sched_ext.
#pragma once

#include <string>

#include "base/small_files.h"

namespace ktstr::guest {

class SchedExtState {
 public:
  static bool present() { return path_exists("/sys/kernel/sched_ext/state"); }

  std::string state() {
    return state_.read().value_or("");
  }  // "enabled", "disabled", "enabling", "disabling"
  std::string ops() { return read_text_or("/sys/kernel/sched_ext/root/ops", ""); }
  // Grows with every successful enable: tells a scheduler that came and went between two looks.
  uint64_t enable_seq() { return std::strtoull(enable_seq_.read().value_or("0").c_str(), nullptr, 10); }

 private:
  PolledFile state_{"/sys/kernel/sched_ext/state"};
  PolledFile enable_seq_{"/sys/kernel/sched_ext/enable_seq"};
};

}  // namespace ktstr::guest
