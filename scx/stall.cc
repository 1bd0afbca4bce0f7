#include "scx/stall.h"

#include "base/numbers.h"
#include "schemas/crash_generated.h"
#include "scx/constants.h"
#include "scx/trace_frame.h"

namespace ktstr {

bool is_stall(const CrashDetectedT& crash) {
  if (crash.kind != CrashKind::SchedExtExit) return false;
  if (crash.exit_kind != 0) return crash.exit_kind == kScxExitErrorStall;
  return crash.stall_task_pid != 0 || crash.reason.find("stall") != std::string::npos;
}

namespace {

// "5.123s" as ns.
std::optional<uint64_t> parse_time(std::string_view time) {
  time = time.substr(0, time.find('s'));
  const size_t dot = time.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view fraction = time.substr(dot + 1);
  auto seconds = parse_number(time.substr(0, dot));
  auto part = parse_number(fraction);
  if (!seconds || !part || fraction.size() > 9 || *seconds > 1'000'000'000) return std::nullopt;
  uint64_t unit = 1'000'000'000;
  for (size_t i = 0; i < fraction.size(); ++i) unit /= 10;
  return *seconds * 1'000'000'000 + *part * unit;
}

}  // namespace

std::optional<StalledTask> parse_stall(std::string_view message) {
  constexpr std::string_view kFailed = " failed to run for ";
  const size_t at = message.find(kFailed);
  if (at == std::string_view::npos) return std::nullopt;
  const auto task = parse_task_name(message.substr(0, at));
  const auto time = parse_time(message.substr(at + kFailed.size()));
  if (!task || !time) return std::nullopt;
  return StalledTask{std::string(task->comm), task->pid, *time};
}

uint64_t watchdog_silence_ns(std::string_view message) {
  constexpr std::string_view kSilent = "watchdog failed to check in for ";
  const size_t at = message.find(kSilent);
  return at == std::string_view::npos ? 0 : parse_time(message.substr(at + kSilent.size())).value_or(0);
}

}  // namespace ktstr
