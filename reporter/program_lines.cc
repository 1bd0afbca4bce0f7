#include "reporter/program_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "reporter/vm_record.h"
#include "schemas/monitor_generated.h"

namespace ktstr {
namespace {

constexpr size_t kMaxText = 120;
constexpr size_t kMaxValues = 3;

const CallbackFact* callback_of(const VmRecord& vm, std::string_view member) {
  auto it = std::find_if(vm.scheduler.callbacks.begin(), vm.scheduler.callbacks.end(),
                         [&](const CallbackFact& c) { return c.member == member; });
  return it == vm.scheduler.callbacks.end() || it->lines.empty() ? nullptr : &*it;
}

const FrozenProgramT* judged(const VmRecord& vm, uint32_t id) {
  for (const auto* frozen : {&vm.monitor.early, &vm.monitor.frozen})
    if (*frozen)
      for (const auto& program : (*frozen)->programs)
        if (program->id == id) return program.get();
  return nullptr;
}

// The last line that begins at or before the instruction; null: none.
const CodeLine* line_at(const std::vector<CodeLine>& lines, uint32_t insn) {
  auto it = std::upper_bound(lines.begin(), lines.end(), insn,
                             [](uint32_t i, const CodeLine& line) { return i < line.insn; });
  return it == lines.begin() ? nullptr : &*std::prev(it);
}

std::string words(const CodeLine& line) {
  std::string_view text = line.text;
  while (text.ends_with(';') || text.ends_with('{') || text.ends_with(' ')) text.remove_suffix(1);
  return fmt::format("{}:{}{}{}{}", line.file, line.line, text.empty() ? "" : ": ", text.substr(0, kMaxText),
                     text.size() > kMaxText ? "…" : "");
}

bool part_of_name(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// " (nr_running is 64)": global variables of the scheduler that the source text names.
std::string values_in(const VmRecord& vm, std::string_view text) {
  std::set<std::string_view> names;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && (part_of_name(text[end]) || (end > at && text[end] == '.'))) ++end;
    if (end > at && !is_digit(text[at])) names.insert(text.substr(at, end - at));
    at = end + 1;
  }
  const auto& frozen = vm.monitor.early ? vm.monitor.early : vm.monitor.frozen;
  if (!frozen || names.empty()) return "";
  std::string out;
  size_t said = 0;
  for (const auto& map : frozen->maps) {
    // Sections of global variables.
    const bool globals = map->name.find(".bss") != std::string::npos ||
                         map->name.find(".data") != std::string::npos ||
                         map->name.find(".rodata") != std::string::npos;
    if (!globals || map->entries.size() != 1) continue;
    for (const auto& field : map->entries.front()->fields)
      if (names.contains(field->name) && said < kMaxValues)
        out += fmt::format("{}{} is {}", said++ ? ", " : "", field->name, field->value.substr(0, 40));
  }
  return out.empty() ? "" : fmt::format(" ({})", out);
}

}  // namespace

std::vector<std::string> ways_out(const VmRecord& vm, std::string_view member, WaysOf what) {
  std::vector<std::string> out;
  const CallbackFact* callback = callback_of(vm, member);
  const FrozenProgramT* program = callback ? judged(vm, callback->id) : nullptr;
  if (!program) return out;
  for (const uint32_t branch : what == WaysOf::kDropped ? program->dropped : program->unplaced)
    if (const CodeLine* line = line_at(callback->lines, branch)) {
      std::string text = words(*line) + values_in(vm, line->text);
      if (std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
    }
  return out;
}

std::vector<std::string> timer_ends(const VmRecord& vm) {
  std::vector<std::string> out;
  for (const CallbackFact& callback : vm.scheduler.callbacks) {
    const FrozenProgramT* program = judged(vm, callback.id);
    if (!program) continue;
    for (const uint32_t branch : program->unarmed)
      if (const CodeLine* line = line_at(callback.lines, branch)) {
        std::string text = fmt::format("{}{}after {}{}", line->function, line->function.empty() ? "" : "() ",
                                       words(*line), values_in(vm, line->text));
        if (std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
      }
  }
  return out;
}

std::vector<std::string> placing_lines(const VmRecord& vm, std::string_view member) {
  std::vector<std::string> out;
  const CallbackFact* callback = callback_of(vm, member);
  const FrozenProgramT* program = callback ? judged(vm, callback->id) : nullptr;
  if (!program) return out;
  const std::string& own = callback->lines.front().file;
  for (const uint32_t call : program->places) {
    const CodeLine* line = line_at(callback->lines, call);
    if (!line) continue;
    // An inline wrapper of a header says little: the statement before it in the program's own file.
    const CodeLine* before = line;
    while (before->file != own && before != callback->lines.data()) --before;
    const bool inlined = before != line && before->file == own && before != callback->lines.data();
    std::string text = (inlined ? "after " : "at ") + words(inlined ? *before : *line);
    if (std::find(out.begin(), out.end(), text) == out.end()) out.push_back(std::move(text));
  }
  return out;
}

std::string listed(const std::vector<std::string>& places, std::string_view before, size_t most) {
  std::string out;
  for (size_t i = 0; i < std::min(places.size(), most); ++i)
    out += fmt::format("{}{}{}", i ? ", " : "", before, places[i]);
  if (places.size() > most) out += fmt::format(" and {} more", places.size() - most);
  return out;
}

}  // namespace ktstr
