#include "scx/scx_words.h"

#include <memory>
#include <utility>

#include "schemas/guest_generated.h"
#include "scx/stall.h"

namespace ktstr {
namespace {

// Takes from `other` what `exit` does not tell.
void complete(ScxExit& exit, const std::optional<ScxExit>& other) {
  if (!other || !other->is_error()) return;
  if (exit.kind == 0) exit.kind = other->kind;
  if (exit.reason.empty()) exit.reason = other->reason;
  if (exit.message.empty()) exit.message = other->message;
  if (exit.ops_name.empty()) exit.ops_name = other->ops_name;
  if (exit.comm.empty()) {
    exit.comm = other->comm;
    exit.pid = other->pid;
  }
  if (exit.cpu < 0) exit.cpu = other->cpu;
  if (exit.guest_ns == 0) exit.guest_ns = other->guest_ns;
  if (exit.backtrace.empty()) exit.backtrace = other->backtrace;
}

}  // namespace

void ScxWords::fold(const EventBuffer& event) {
  if (auto* dump = event.as<DumpLine>()) {
    dump_.feed(str(dump->text()), {dump->pid(), dump->cpu(), event->stamp()->guest_ns()});
  } else if (auto* line = event.as<SchedulerLine>()) {
    (line->stream() == OutputStream::Stdout ? stdout_ : stderr_).feed(str(line->text()));
  } else if (auto* console = event.as<ConsoleLine>()) {
    const StampedText stamped = split_stamp(str(console->text()));
    console_.feed(stamped.text, stamped.guest_ns);
  }
}

std::optional<ScxExit> ScxWords::console_exit() const {
  auto first = console_.result();
  return first && first->is_error() ? first : console_.last();
}

std::optional<ScxWords::Error> ScxWords::error() const {
  const std::pair<std::optional<ScxExit>, std::string_view> sources[] = {{dump_.exit(), "sched_ext_dump"},
                                                                         {console_.result(), "console"},
                                                                         {stderr_.result(), "scheduler log"},
                                                                         {stdout_.result(), "scheduler log"}};
  std::optional<Error> out;
  for (const auto& [exit, name] : sources) {
    if (!out && exit && exit->is_error()) out = Error{*exit, name};
  }
  if (!out) return std::nullopt;
  for (const auto& [exit, name] : sources) complete(out->exit, exit);
  return out;
}

std::string ScxWords::printed_message(std::string_view reason) const {
  for (const ScxExitParser* parser : {&stderr_, &stdout_}) {
    const std::string message = parser->last_message(reason);
    if (!message.empty()) return message;
  }
  return {};
}

CrashDetectedT to_crash(ScxWords::Error error) {
  ScxExit& exit = error.exit;
  CrashDetectedT crash;
  crash.kind = CrashKind::SchedExtExit;
  crash.exit_kind = exit.kind;
  crash.reason = std::move(exit.reason);
  crash.message = std::move(exit.message);
  crash.ops_name = std::move(exit.ops_name);
  crash.task_comm = std::move(exit.comm);
  crash.task_pid = exit.pid;
  crash.cpu = exit.cpu;
  crash.source = error.source;
  if (auto stall = parse_stall(crash.message)) {
    crash.stall_task_comm = stall->comm;
    crash.stall_task_pid = stall->pid;
    crash.stall_ns = stall->ns;
  }
  for (ChainFrameT& frame : exit.backtrace)
    crash.backtrace.push_back(std::make_unique<ChainFrameT>(std::move(frame)));
  return crash;
}

}  // namespace ktstr
