#include "scx/crash_signature.h"

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/text.h"
#include "schemas/crash_generated.h"
#include "scx/crash_frames.h"
#include "scx/trace_frame.h"
#include "scx/vocabulary.h"

namespace ktstr {
namespace {

constexpr size_t kFaultFrames = 3;  // of a kernel fault
constexpr size_t kCheckFrames = 2;  // of a check in sched_ext that no BPF program called
constexpr size_t kSignatureFrames = 8;
constexpr size_t kMaxMessage = 400;

bool word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool space(char c) { return std::isspace(static_cast<unsigned char>(c)); }

constexpr size_t kMaxComm = 15;  // TASK_COMM_LEN less its end

// "comm[123]" whose bracket is at `open`: takes the comm off the end of what was written so far. A comm may hold blanks:
// it begins after a word that introduces a task, no further back than a comm is long; else it is one word. Returns where
// the text goes on; npos: no task.
size_t take_task(std::string_view text, size_t open, std::string* out) {
  size_t close = open + 1;
  while (close < text.size() && is_digit(text[close])) ++close;
  if (close == open + 1 || close >= text.size() || text[close] != ']') return std::string_view::npos;
  // Numbers of the comm were replaced: it is measured in the text.
  const size_t from = open > kMaxComm + 10 ? open - kMaxComm - 10 : 0;
  const std::string_view before = text.substr(from, open - from);
  size_t blanks = std::string_view::npos;
  for (std::string_view word :
       {" for ", " of ", " by ", " from ", " task ", " to ", ": ", " disabled ", "("}) {
    const size_t at = before.rfind(word);
    if (at == std::string_view::npos) continue;
    const std::string_view comm = trim(before.substr(at + word.size()));
    if (comm.empty() || comm.size() > kMaxComm) continue;
    const size_t n = static_cast<size_t>(std::count(comm.begin(), comm.end(), ' '));
    blanks = std::min(blanks, n);
  }
  if (blanks == std::string_view::npos) blanks = 0;
  size_t start = out->size();
  for (;;) {
    while (start > 0 && !space((*out)[start - 1]) && (*out)[start - 1] != '(' && (*out)[start - 1] != '=')
      --start;
    if (blanks == 0 || start == 0 || (*out)[start - 1] != ' ') break;
    --blanks;
    --start;
  }
  if (start == out->size()) return std::string_view::npos;
  out->resize(start);
  *out += "TASK";
  return close + 1;
}

// "/home/u/build/scx_x-32c1/out/percpu.h:68": where it was built says nothing. Where the path's last part begins, when a
// path with a file's name and line begins at `at`; else `at`.
size_t last_part(std::string_view text, size_t at) {
  size_t end = at, slash = at, dot = at;
  while (end < text.size() &&
         (word(text[end]) || text[end] == '/' || text[end] == '.' || text[end] == '-' || text[end] == '+')) {
    if (text[end] == '/') slash = end + 1;
    if (text[end] == '.') dot = end;
    ++end;
  }
  const bool file =
      slash > at && dot > slash && end + 1 < text.size() && text[end] == ':' && is_digit(text[end + 1]);
  return file ? slash : at;
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
  // Which of the two came first into a DSQ is chance.
  if (text.ends_with(" already had PRIQ-enqueued tasks"))
    return normalize_crash_message(text.substr(0, text.size() - 20)) + " FIFO-enqueued tasks";
  std::string out;
  for (size_t i = 0; i < text.size() && out.size() < kMaxMessage;) {
    const char c = text[i];
    if (space(c)) {
      while (i < text.size() && space(text[i])) ++i;
      if (!out.empty() && i < text.size()) out += ' ';
      continue;
    }
    if (c == '[') {
      const size_t next = take_task(text, i, &out);
      if (next != std::string_view::npos) {
        i = next;
        continue;
      }
    }
    const bool starts_word = i == 0 || !word(text[i - 1]);
    if (starts_word && (word(c) || c == '/' || c == '.') && (i == 0 || text[i - 1] != '/')) {
      if (const size_t part = last_part(text, i); part != i) {
        i = part;
        continue;
      }
    }
    if (c == '0' && i + 2 < text.size() && (text[i + 1] == 'x' || text[i + 1] == 'X') &&
        is_hex_digit(text[i + 2])) {
      size_t end = i + 2;
      while (end < text.size() && is_hex_digit(text[end])) ++end;
      out += end - i == 18 && text[i + 2] == 'f' ? "ADDR"
                                                 : "N";  // of the kernel; any other number varies in length
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
  // Only the dump tells the kind; the reason means the same.
  const uint64_t known = crash.exit_kind ? crash.exit_kind : exit_kind_of(crash.reason);
  if (known) {
    char kind[24];
    std::snprintf(kind, sizeof(kind), "0x%llx ", static_cast<unsigned long long>(known));
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
