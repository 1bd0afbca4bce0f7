#include "reporter/crash_place.h"

#include <fmt/format.h>

#include <algorithm>

#include "reporter/repro_words.h"
#include "schemas/crash_generated.h"
#include "schemas/repro_generated.h"
#include "scx/crash_frames.h"
#include "scx/named_callback.h"

namespace ktstr {
namespace {

// "demo_enqueue at demo.bpf.c:11": the callback of that member; empty: it is not known.
std::string callback_words(const VmRecord& vm, std::string_view member) {
  auto fact = std::find_if(vm.scheduler.callbacks.begin(), vm.scheduler.callbacks.end(),
                           [&](const CallbackFact& c) { return c.member == member; });
  if (fact == vm.scheduler.callbacks.end()) return "";
  return fact->where.empty() ? fact->name : fmt::format("{} at {}", fact->name, file_name(fact->where));
}

std::string trimmed(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::string out(text.substr(0, 200));
  if (text.size() > 200 || text.ends_with(','))
    return out + " …";  // BTF keeps one line of a longer statement
  return out;
}

// In the middle of a sentence.
std::string quoted_line(std::string_view text) {
  while (text.ends_with(';') || text.ends_with(' ')) text.remove_suffix(1);
  return trimmed(text);
}

// Of an inline wrapper: the line in the scheduler's own file, and what was inlined after it.
std::string own_line_words(const ChainFrameT& frame) {
  return fmt::format("in {}, after {}:{}{}; inlined there: {}:{}{}", frame.function,
                     file_name(frame.own_file), frame.own_line,
                     frame.own_text.empty() ? "" : ": " + quoted_line(frame.own_text), file_name(frame.file),
                     frame.line, frame.text.empty() ? "" : ": " + quoted_line(frame.text));
}

std::string line_words(const ChainFrameT& frame) {
  if (frame.own_line) return own_line_words(frame);
  if (frame.file.empty()) return "in " + frame.function;
  return fmt::format("{}:{} in {}{}", file_name(frame.file), frame.line, frame.function,
                     frame.text.empty() ? "" : ": " + quoted_line(frame.text));
}

// "scx_bpf_dsq_insert(dsq_id CPU 0's local DSQ)"
std::string kfunc_words(const DecodedCallT& call) {
  // The kernel's name of a newer version of the kfunc that the scheduler calls by its plain name.
  const std::string name = call.function.substr(0, call.function.find("___"));
  for (const auto& value : call.values)
    if (value->name == "dsq_id") return fmt::format("{}(dsq_id {})", name, value->entry);
  return name + "()";
}

// What the probes of the repro VM saw the scheduler do, of a crash whose backtrace does not show it.
std::string statement(const RunModel& model, const VmRecord& vm, const CrashDetectedT& crash) {
  const auto named = named_callback(crash.message);
  const bool refused = named && named->error != 0;
  const auto& repro = model.repro_finished();
  const bool same = repro && repro->status == ReproStatus::SameSignature;
  if (refused) {
    const std::string who = callback_words(vm, named->member);
    std::string text = who.empty() ? " (returned by ops." + named->member : " (returned by " + who;
    if (same) {
      const std::string error = fmt::format("-{}", named->error);
      const std::string own = who.substr(0, who.find(' '));
      const DecodedCallT *kfunc = nullptr, *inner = nullptr;
      for (const auto& call : repro->calls) {
        if (!call->hit || return_value(*call) != error || call->function == own) continue;
        (call->kind == ProbeKind::Kprobe ? kfunc : inner) =
            call.get();  // oldest first: the last one is the innermost
      }
      const std::string in =
          inner ? fmt::format("{}(){}", inner->function,
                              inner->source.empty() ? "" : fmt::format(" at {}", file_name(inner->source)))
                : "";
      if (kfunc)
        text += fmt::format("; {} came from {}{}", error, kfunc_words(*kfunc),
                            kfunc->from  ? ", " + line_words(*kfunc->from)
                            : in.empty() ? ""
                                         : ", in " + in);
      else if (inner)
        text += fmt::format("; {} came from {}", error, in);
    }
    return text + ")";
  }
  if (same)
    for (const auto& call : repro->calls)
      if (call->hit && call->from)
        return fmt::format(" ({} {}; the kernel objected later)", kfunc_words(*call),
                           line_words(*call->from));
  if (named)
    if (const std::string who = callback_words(vm, named->member); !who.empty())
      return fmt::format(" (ops.{} is {})", named->member, who);
  return "";
}

// No frame of the scheduler: the kernel objected to what a callback had left behind.
std::string kernel_frame_note(const RunModel& model, const VmRecord& vm, const CrashDetectedT& crash) {
  if (const std::string said = statement(model, vm, crash); !said.empty()) return said;
  const ChainFrameT* place = nullptr;
  for (const auto& frame : crash.backtrace) {
    if (!place && frame_noise(frame->function).empty()) place = frame.get();
    const std::string_view member = callback_called_by(frame->function);
    if (member.empty()) continue;
    const std::string who = callback_words(vm, member);
    return fmt::format(" (in {}, after ops.{}{}{})", place->function, member, who.empty() ? "" : ", ", who);
  }
  return place ? fmt::format(" (in {})", place->function) : "";
}

// An inlined helper of a header says little: the first frame around it that is in a source file. Null:
// not needed.
const ChainFrameT* header_user(const CrashDetectedT& crash, const ChainFrameT* frame) {
  if (!frame->file.ends_with(".h")) return nullptr;
  bool inside = false;
  for (const auto& f : crash.backtrace) {
    if (inside && (f->tag.empty() || (!f->file.empty() && !f->file.ends_with(".h"))))
      return f->tag.empty() ? nullptr : f.get();
    inside = inside || f.get() == frame;
  }
  return nullptr;
}

// The statement holds the format of the kernel's message as a string: it would say the same once more.
bool says_the_message(std::string_view statement, std::string_view message) {
  constexpr size_t kEnough = 4;  // bytes of a format before its first number
  const size_t quote = statement.find('"');
  if (quote == std::string_view::npos) return false;
  const std::string_view format = statement.substr(quote + 1);
  const std::string_view fixed = format.substr(0, format.find_first_of("%\"\\"));
  return fixed.size() >= kEnough && message.find(fixed) != std::string_view::npos;
}

}  // namespace

const ChainFrameT* scheduler_frame(const CrashDetectedT& crash) {
  // A frame with its source first; a trampoline of the scheduler has a tag too, but no line.
  for (bool need_source : {true, false})
    for (const auto& frame : crash.backtrace)
      if (!frame->tag.empty() && (!need_source || !frame->file.empty())) return frame.get();
  return nullptr;
}

// " (scx_x.bpf.c:213 in x_charge, called by x_enqueue: STATEMENT)"
std::string crash_place(const RunModel& model, const VmRecord& vm, const CrashDetectedT& crash) {
  const ChainFrameT* frame = scheduler_frame(crash);
  if (!frame) return crash.kind == CrashKind::SchedExtExit ? kernel_frame_note(model, vm, crash) : "";
  const ChainFrameT* callback = frame;  // the outermost frame of the scheduler's unbroken run of frames
  auto at = std::find_if(crash.backtrace.begin(), crash.backtrace.end(),
                         [&](const auto& f) { return f.get() == frame; });
  for (; at != crash.backtrace.end() && !(*at)->tag.empty(); ++at) callback = at->get();
  const std::string by = callback->function == frame->function ? "" : ", called by " + callback->function;
  if (frame->file.empty()) return fmt::format(" (in {}+{:#x}{})", frame->function, frame->offset, by);
  if (frame->own_line) return fmt::format(" ({}{})", own_line_words(*frame), by);
  std::string note = fmt::format(" ({}:{} in {}{}", file_name(frame->file), frame->line, frame->function, by);
  if (const ChainFrameT* user = header_user(crash, frame))
    note += fmt::format(", from {}:{} in {}", file_name(user->file), user->line, user->function);
  const std::string text = trimmed(frame->text);
  if (!text.empty() && !says_the_message(text, crash.message)) note += ": " + text;
  return note + ")";
}

// Where the kernel was when it fell, not the code that says so. REQUIRES: a backtrace.
const ChainFrameT& fault_place(const CrashDetectedT& crash) {
  for (const auto& frame : crash.backtrace)
    if (!frame->uncertain && frame_noise(frame->function).empty()) return *frame;
  return *crash.backtrace.front();
}

}  // namespace ktstr
