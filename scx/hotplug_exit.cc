#include "scx/hotplug_exit.h"

#include "base/numbers.h"

namespace ktstr {

std::optional<HotplugExit> parse_hotplug_exit(std::string_view message) {
  constexpr std::string_view kHead = "cpu ", kGoing = " going ", kTail = ", exiting scheduler";
  const size_t at = message.find(kHead);
  const size_t going = at == message.npos ? at : message.find(kGoing, at);
  if (going == message.npos) return std::nullopt;
  const auto cpu = parse_number<unsigned>(message.substr(at + kHead.size(), going - at - kHead.size()));
  message.remove_prefix(going + kGoing.size());
  const bool online = message.starts_with("online"), offline = message.starts_with("offline");
  if (!cpu || (!online && !offline)) return std::nullopt;
  message.remove_prefix(online ? 6 : 7);
  if (!message.starts_with(kTail)) return std::nullopt;
  return HotplugExit{*cpu, online};
}

std::string hotplug_words(const HotplugExit& exit) {
  return std::string("CPU hotplug, and the scheduler has no ops.") +
         (exit.online ? "cpu_online" : "cpu_offline") + ": the kernel asks its process to load it again";
}

std::string_view hotplug_advice() {
  return "add ops.cpu_online and ops.cpu_offline, or load the scheduler again when its exit code has "
         "SCX_ECODE_ACT_RESTART (UEI_ECODE_RESTART)";
}

}  // namespace ktstr
