#include "reporter/scheduler_record.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "reporter/crash_place.h"
#include "schemas/unpack.h"

namespace ktstr {
namespace {

constexpr size_t kMaxCodeLines = 1u << 16;  // of all callbacks

// libbpf: "func_proto [551] incompatible with vmlinux"; the verifier: "cannot find function NAME_impl in BTF"; scx_utils:
// "malformed scx kfunc prototype(s): NAME, …".
bool complains_of_kfunc(std::string_view text) {
  return text.find("scx") != text.npos &&
         (text.find("incompatible with vmlinux") != text.npos || text.find("_impl in BTF") != text.npos ||
          text.find("malformed") != text.npos);
}

// As clap says it ("error: unexpected argument '--x' found"), as getopt does, and as our own schedulers do.
bool complains_of_arguments(std::string_view text) {
  static constexpr std::string_view kWords[] = {"unexpected argument",    "unrecognized option",
                                                "invalid option",         "unknown option",
                                                "no such option",         "invalid value '",
                                                "requires an argument",   "cannot be used with",
                                                "a value is required ",   "the following required arg",
                                                "unrecognized subcommand"};
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view words) { return text.find(words) != text.npos; });
}

}  // namespace

void SchedulerRecord::fold(const EventBuffer& event, Stage stage) {
  switch (event.type()) {
    case Payload::ConsoleLine:
      return words.fold(event);
    case Payload::DumpLine:
      gone(stage);
      return words.fold(event);
    case Payload::SchedulerLine:
      words.fold(event);
      return fold_line(*event.as<SchedulerLine>());
    case Payload::SchedulerStarted:
      argv.clear();
      if (auto* list = event.as<SchedulerStarted>()->argv())
        for (const auto* arg : *list) argv.push_back(arg->str());
      return;
    case Payload::SchedulerAttached:
      return fold_attached(*event.as<SchedulerAttached>());
    case Payload::SchedulerDetached:
      if (stage < Stage::WorkloadFinished) {
        detached_early = true;
        gone(stage);
      }
      detached_state = str(event.as<SchedulerDetached>()->state()).substr(0, 64);
      return;
    case Payload::SchedulerExited:
      exit = unpack<SchedulerExitedT>(*event.as<SchedulerExited>());
      if (!exit->requested) gone(stage);
      return;
    case Payload::BpfProgram:
      return fold_program(*event.as<BpfProgram>());
    case Payload::CrashDetected:
      return fold_crash(*event.as<CrashDetected>());
    default:
      return;
  }
}

void SchedulerRecord::fold_attached(const SchedulerAttached& seen) {
  if (seen.restart() == 0) {
    attached = unpack<SchedulerAttachedT>(seen);
    return;
  }
  restarts = seen.restart();
  restart_ns = seen.elapsed_ns();
  detached_early = false;
  detached_state.clear();
  stage_at_end.reset();
  reload = {};
}

void SchedulerRecord::fold_line(const SchedulerLine& line) {
  const std::string_view text = str(line.text());
  if (!attached) load.line(text);
  if (detached_early) reload.line(text);
  user_end.line(text);
  if (!attached && complains_of_kfunc(text) && kfunc_complaints.size() < 8)
    kfunc_complaints.emplace_back(text.substr(0, 2048));
  if (!attached && usage_line.empty() && line.stream() == OutputStream::Stderr &&
      complains_of_arguments(text))
    usage_line.assign(text.substr(0, 512));
  // clap's line after the error.
  static constexpr std::string_view kTip = "tip: ";
  if (const size_t tip = text.find(kTip); !attached && !usage_line.empty() && usage_tip.empty() &&
                                          tip != text.npos && trim(text.substr(0, tip)).empty())
    usage_tip.assign(text.substr(tip + kTip.size(), 200));
  if (line.stream() == OutputStream::Stderr && text.find_first_not_of(" \t\r") != text.npos)
    last_stderr_line.assign(text.substr(0, 512));
}

void SchedulerRecord::fold_crash(const CrashDetected& seen) {
  auto now = unpack<CrashDetectedT>(seen);
  if (!crash) {
    crash = std::move(now);
  } else if (crash->kind != CrashKind::SchedExtExit && now.kind == CrashKind::SchedExtExit) {
    std::swap(*crash, now);
    other_crashes.push_back(std::move(now));
  } else if (other_crashes.size() < 8) {
    other_crashes.push_back(std::move(now));
  }
}

void SchedulerRecord::fold_program(const BpfProgram& program) {
  if (callbacks.size() >= 256 || str(program.member()).empty()) return;
  CallbackFact fact{.member = std::string(str(program.member()).substr(0, 64)),
                    .name = std::string(str(program.name()).substr(0, 128)),
                    .where = {},
                    .id = program.id(),
                    .lines = {}};
  if (program.lines() && program.lines()->size() > 0) {
    const LineInfo* first = program.lines()->Get(0);
    std::string_view file = str(first->file()).substr(0, 256);
    if (!file.empty()) fact.where = std::string(file) + ":" + std::to_string(first->line());
  }
  if (program.lines())
    for (const LineInfo* line : *program.lines()) {
      if (code_lines_++ >= kMaxCodeLines) break;
      fact.lines.push_back({line->insn(), std::string(file_name(str(line->file()).substr(0, 256))),
                            line->line(), std::string(str(line->text()).substr(0, 200)),
                            std::string(str(line->function()).substr(0, 64))});
    }
  std::stable_sort(fact.lines.begin(), fact.lines.end(),
                   [](const CodeLine& a, const CodeLine& b) { return a.insn < b.insn; });
  callbacks.push_back(std::move(fact));
}

}  // namespace ktstr
