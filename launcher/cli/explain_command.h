// ktstr-launch explain, triage: crashes that are there already, as text of any sort or as recorded runs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "explain/crash_text.h"

namespace ktstr {

struct ExplainCommandOptions {
  std::vector<std::string> files;  // "-": standard input
  bool json = false;
  std::string log = {};        // keep the text as an event log
  std::string kernel = {};     // source lines from this kernel's debug info; empty: none
  std::string debuginfo = {};  // … or from this vmlinux
};
int explain_command(const ExplainCommandOptions& options);

struct TriageCommandOptions {
  std::vector<std::string> paths;  // logs, texts, folders of them
  std::string format = "text";     // text, json, md
};
int triage_command(const TriageCommandOptions& options);

class ImportLog;
class SourceLines;

// Reads and explains a text or a recorded run; with `log`, its lines and crashes become events there; with `sources`, frames
// get source lines. Errors: it cannot be read.
Result<ExplainedText> explain_file(const std::string& path, ImportLog* log = nullptr,
                                   const SourceLines* sources = nullptr);

}  // namespace ktstr
