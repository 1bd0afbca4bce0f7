#include "explain/crash_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/text.h"
#include "scx/crash_frames.h"
#include "scx/scx_dump.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr size_t kFrames = 40;
constexpr size_t kTasks = 12;

void line(std::string& out, std::string_view text) { out += printable(text) + "\n"; }

std::string place_of(const Explanation& crash) {
  std::string place = crash.function;
  if (!crash.file.empty())
    place += fmt::format("{}{}{}", place.empty() ? "" : " (", crash.file,
                         crash.line ? fmt::format(":{}", crash.line) : "");
  if (!crash.file.empty() && !crash.function.empty()) place += ")";
  return place;
}

std::string frame_text(const ChainFrameT& frame) {
  std::string text = frame.uncertain ? "? " : "";
  text += frame.function;
  if (frame.size) text += fmt::format("+{:#x}/{:#x}", frame.offset, frame.size);
  if (!frame.tag.empty()) text += " [bpf " + frame.tag + "]";
  if (!frame.file.empty()) text += fmt::format(" {}:{}", frame.file, frame.line);
  if (frame.inlined) text += " [inline]";
  return text;
}

void tasks_of(const Explanation& crash, std::string& out) {
  std::vector<const DumpTask*> tasks;
  for (const DumpTask& task : crash.dump->tasks()) tasks.push_back(&task);
  std::stable_sort(tasks.begin(), tasks.end(), [&](const DumpTask* a, const DumpTask* b) {
    if ((a->pid == crash.pid) != (b->pid == crash.pid)) return a->pid == crash.pid;
    return a->runnable_ms < b->runnable_ms;
  });
  out += "\n--- sched_ext dump ---\n";
  line(out, fmt::format("{} CPUs, {} tasks in the text (* running, > what this is about):",
                        crash.dump->cpus().size(), crash.dump->total_tasks()));
  for (size_t i = 0; i < tasks.size() && i < kTasks; ++i) {
    const DumpTask& t = *tasks[i];
    const std::string where = t.current               ? "running"
                              : !t.dsq().empty()      ? "in " + dsq_name(t.dsq())
                              : t.held_by_scheduler() ? "held by the scheduler (QUEUED)"
                                                      : "in no DSQ";
    const std::string_view cpus = t.fields.get("cpus");
    line(out, fmt::format("  {}{}{} {}[{}] {:+d} ms, {}{}{}", t.pid == crash.pid && crash.pid ? ">" : " ",
                          t.current ? "*" : " ", t.state, t.comm, t.pid, t.runnable_ms, where,
                          t.cpu >= 0 ? fmt::format(", run queue of CPU {}", t.cpu) : "",
                          cpus.empty() ? "" : fmt::format(", cpus={}", cpus)));
  }
}

}  // namespace

std::string crash_report(const Explanation& crash, size_t number, size_t of) {
  std::string out;
  line(out, "BUG SUMMARY: " + crash.summary);
  if (of > 1) line(out, fmt::format("  crash {} of {} in this text", number, of));
  for (const std::string& text : crash.evidence) line(out, "  " + text);
  if (const std::string place = place_of(crash); !place.empty()) line(out, "  where: " + place);
  std::string about;
  auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) about += fmt::format("{}{} {}", about.empty() ? "" : ", ", name, value);
  };
  add("scheduler", crash.ops);
  add("kernel", crash.kernel);
  add("at", crash.when);
  if (crash.text_line) add("line", std::to_string(crash.text_line));
  if (!about.empty()) line(out, "  " + about);
  line(out, fmt::format("  class: {}; signature: {}", crash.cls, crash.signature));
  for (const std::string& text : crash.lacks) line(out, "  the text lacks: " + text);
  if (!crash.advice.empty()) line(out, "  the usual fix: " + crash.advice);
  if (!crash.frames.empty()) {
    out += "\n--- diagnostics ---\n";
    if (!crash.message.empty()) line(out, crash.message);
    for (size_t i = 0; i < crash.frames.size() && i < kFrames; ++i) {
      const std::string_view noise = frame_noise(crash.frames[i].function);
      line(out, fmt::format("  {}{}", frame_text(crash.frames[i]),
                            noise.empty() ? "" : fmt::format("   ({})", noise)));
    }
    if (crash.frames.size() > kFrames) line(out, fmt::format("  ({} more)", crash.frames.size() - kFrames));
  }
  if (crash.dump && !crash.dump->tasks().empty()) tasks_of(crash, out);
  return out;
}

std::string text_report(const ExplainedText& text) {
  std::string out;
  if (text.crashes.empty()) {
    line(out, fmt::format(
                  "{}: {} in {} lines{}", text.file,
                  text.anything ? "no crash found" : "nothing of sched_ext and no trouble of a kernel found",
                  text.lines,
                  text.orderly_exits ? fmt::format("; {} scheduler{} ended in order", text.orderly_exits,
                                                   text.orderly_exits == 1 ? "" : "s")
                                     : ""));
    for (const std::string& exit : text.orderly) line(out, "  " + exit);
  }
  // The same bug again needs no second report in full.
  std::map<std::string, size_t> seen;
  for (size_t i = 0; i < text.crashes.size(); ++i) {
    const Explanation& crash = text.crashes[i];
    if (i > 0) out += "\n";
    const auto [first, fresh] = seen.emplace(crash.signature, i + 1);
    if (fresh) {
      out += crash_report(crash, i + 1, text.crashes.size());
      continue;
    }
    line(out, "BUG SUMMARY: " + crash.summary);
    line(out, fmt::format("  crash {} of {} in this text, the same bug as crash {}{}{}", i + 1,
                          text.crashes.size(), first->second, crash.when.empty() ? "" : ", at " + crash.when,
                          crash.text_line ? fmt::format(", line {}", crash.text_line) : ""));
  }
  if (text.dropped) line(out, fmt::format("note: {} more crashes are not shown", text.dropped));
  for (const std::string& note : text.notes) line(out, "note: " + note);
  return out;
}

std::string json_report(const ExplainedText& text) {
  OrderedJson out;
  auto safe = [](const std::string& value) { return printable(value); };
  auto list = [&](const std::vector<std::string>& values) {
    OrderedJson array = OrderedJson::array();
    for (const std::string& value : values) array.push_back(safe(value));
    return array;
  };
  out["file"] = safe(text.file);
  out["lines"] = text.lines;
  out["crashes"] = OrderedJson::array();
  for (const Explanation& crash : text.crashes) {
    OrderedJson entry;
    entry["summary"] = safe(crash.summary);
    entry["class"] = crash.cls;
    entry["signature"] = safe(crash.signature);
    entry["task"] = safe(crash.task);
    entry["pid"] = crash.pid;
    entry["cpu"] = crash.cpu;
    entry["function"] = safe(crash.function);
    entry["file"] = safe(crash.file);
    entry["line"] = crash.line;
    entry["scheduler"] = safe(crash.ops);
    entry["kernel"] = safe(crash.kernel);
    entry["message"] = safe(crash.message);
    entry["when"] = safe(crash.when);
    entry["text_line"] = crash.text_line;
    entry["evidence"] = list(crash.evidence);
    entry["lacks"] = list(crash.lacks);
    entry["advice"] = safe(crash.advice);
    entry["frames"] = OrderedJson::array();
    for (const ChainFrameT& frame : crash.frames) {
      OrderedJson f;
      f["function"] = safe(frame.function);
      f["offset"] = frame.offset;
      f["size"] = frame.size;
      f["tag"] = safe(frame.tag);
      f["file"] = safe(frame.file);
      f["line"] = frame.line;
      f["uncertain"] = frame.uncertain;
      f["inlined"] = frame.inlined;
      entry["frames"].push_back(std::move(f));
    }
    out["crashes"].push_back(std::move(entry));
  }
  out["orderly_exits"] = text.orderly_exits;
  out["orderly"] = list(text.orderly);
  out["dropped"] = text.dropped;
  out["notes"] = list(text.notes);
  return json_text(out);
}

}  // namespace ktstr
