// The exit of a scheduler after a change of the CPUs. sched_ext calls ops.cpu_online or ops.cpu_offline; a scheduler without
// the callback is unregistered, with the exit code SCX_ECODE_ACT_RESTART | SCX_ECODE_RSN_HOTPLUG, which asks its process to load
// it again. The same words come from a scheduler that was loaded while CPUs changed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ktstr {

struct HotplugExit {
  unsigned cpu = 0;
  bool online = false;  // it came; false: it went
};
// Of the message "cpu 3 going offline, exiting scheduler".
std::optional<HotplugExit> parse_hotplug_exit(std::string_view message);

// "CPU hotplug, and the scheduler has no ops.cpu_offline: the kernel asks its process to load it again"
std::string hotplug_words(const HotplugExit& exit);
// What mends it.
std::string_view hotplug_advice();

}  // namespace ktstr
