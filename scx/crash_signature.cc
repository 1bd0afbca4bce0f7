#include "scx/crash_signature.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/text.h"
#include "schemas/crash_generated.h"
#include "scx/crash_frames.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

constexpr size_t kFaultFrames = 3;  // of a kernel fault
constexpr size_t kCheckFrames = 2;  // of a check in sched_ext that no BPF program called
constexpr size_t kSignatureFrames = 8;
constexpr size_t kMaxMessage = 400;

bool word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool space(char c) { return std::isspace(static_cast<unsigned char>(c)); }

// "comm[123]" that ends at `close`: where the comm starts in what was written so far, or npos. A comm may
// hold almost anything; one word is taken.
size_t task_start(std::string_view text, size_t open, std::string* out) {
  size_t close = open + 1;
  while (close < text.size() && is_digit(text[close])) ++close;
  if (close == open + 1 || close >= text.size() || text[close] != ']') return std::string_view::npos;
  size_t start = out->size();
  while (start > 0 && !space((*out)[start - 1]) && (*out)[start - 1] != '(' && (*out)[start - 1] != '=')
    --start;
  if (start == out->size()) return std::string_view::npos;
  out->resize(start);
  *out += "TASK";
  return close + 1;
}

// A hook of the scheduling class, or who calls those: by which of them the kernel came differs from run to
// run.
bool is_hook(std::string_view function) {
  function = base_function(function);
  if (function.ends_with("_scx")) return true;
  for (const char* name :
       {"schedule", "__schedule", "enqueue_task", "dequeue_task", "ttwu_do_activate", "try_to_wake_up"})
    if (function == name) return true;
  return false;
}

// How many of the frames, from the innermost, belong to the bug rather than to the way there.
size_t telling(const std::vector<const ChainFrameT*>& frames, bool scheduler) {
  size_t n = 0;
  for (size_t i = 0; i < frames.size(); ++i)
    if (!frames[i]->tag.empty()) n = i + 1;
  if (n > 0) return std::min(n, kSignatureFrames);  // up to the callback
  if (!scheduler) return std::min(frames.size(), kFaultFrames);
  while (n < std::min(frames.size(), kCheckFrames) && !is_hook(frames[n]->function)) ++n;
  return n;
}

}  // namespace

std::string normalize_crash_message(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size() && out.size() < kMaxMessage;) {
    const char c = text[i];
    if (space(c)) {
      while (i < text.size() && space(text[i])) ++i;
      if (!out.empty() && i < text.size()) out += ' ';
      continue;
    }
    if (c == '[') {
      const size_t next = task_start(text, i, &out);
      if (next != std::string_view::npos) {
        i = next;
        continue;
      }
    }
    const bool starts_word = i == 0 || !word(text[i - 1]);
    if (c == '0' && i + 2 < text.size() && (text[i + 1] == 'x' || text[i + 1] == 'X') &&
        is_hex_digit(text[i + 2])) {
      size_t end = i + 2;
      while (end < text.size() && is_hex_digit(text[end])) ++end;
      out += end - i > 10 ? "ADDR" : "N";
      i = end;
      continue;
    }
    if (is_digit(c)) {
      size_t end = i;
      bool hex = starts_word;
      while (end < text.size() && (is_digit(text[end]) || (hex && is_hex_digit(text[end])))) ++end;
      if (hex && end < text.size() && word(text[end])) {  // "3rd", "12ms": digits only
        end = i;
        while (end < text.size() && is_digit(text[end])) ++end;
      }
      // 5.123: one number.
      if (end + 1 < text.size() && text[end] == '.' && is_digit(text[end + 1])) {
        ++end;
        while (end < text.size() && is_digit(text[end])) ++end;
      }
      if (!out.empty() && out.back() == '-' && (out.size() == 1 || !word(out[out.size() - 2])))
        out.pop_back();
      out += 'N';
      i = end;
      continue;
    }
    out += c;
    ++i;
  }
  return out;
}

std::string crash_signature(const CrashDetectedT& crash) {
  std::string out;
  if (crash.exit_kind) {
    char kind[24];
    std::snprintf(kind, sizeof(kind), "0x%llx ", static_cast<unsigned long long>(crash.exit_kind));
    out += kind;
  }
  out += crash.reason.empty() ? EnumNameCrashKind(crash.kind) : normalize_crash_message(crash.reason);
  if (const std::string message = normalize_crash_message(crash.message); !message.empty())
    out += ": " + message;

  const CrashFrames frames = split_frames(crash);
  const size_t n = telling(frames.kept, crash.kind == CrashKind::SchedExtExit);
  for (size_t i = 0; i < n; ++i)
    out += (i ? " < " : " @ ") + std::string(base_function(frames.kept[i]->function));
  return out;
}

std::string crash_signature(const CrashDetected& crash) {
  CrashDetectedT t;
  crash.UnPackTo(&t);
  return crash_signature(t);
}

}  // namespace ktstr
