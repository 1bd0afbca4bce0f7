// What a host process says about itself: one line for each decision, for the person who debugs ktstr. What a run found
// is an event and never a line here. spdlog is behind it and seen by log.cc alone. The guest's programs and the SDK's
// archives do without (ktstr_diagnostics is a library of its own).
//
// Warnings and errors go to stderr. KTSTR_LOG=debug, or KTSTR_LOG=monitor=debug,launcher=info for single processes,
// shows more (or less: error, off). Lines from info on (from debug on where KTSTR_LOG says so) go to diagnostics.log beside
// the run's events.ktlog as well: all processes append to it, one write(2) a line, so that lines never mix.
//
// Thread-safe. Control characters are removed: the text may come from a guest. A message of several lines becomes several lines
// of the log. Nothing here fails: a process whose diagnostics cannot be written goes on, with a warning.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace ktstr {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

struct LogLevels {
  LogLevel stderr_level = LogLevel::kWarning;
  LogLevel file_level = LogLevel::kInfo;
};
// What KTSTR_LOG asks of `process` ("launcher", "monitor", …). A later entry wins over an earlier one, an entry that names a
// process over one that names none. An error names the bad entry; nothing of a value with a bad entry counts.
Result<LogLevels> parse_log_levels(std::string_view value, std::string_view process);

// `process`: as in KTSTR_LOG; `program`: before each line on stderr. Reads KTSTR_LOG. With `complain`, a bad value is
// a warning: the helpers of a launcher, which has told it, are silent.
struct LogOptions {
  std::string process, program;
  bool complain = true;
};
void start_log(const LogOptions& options);

// From now on lines also go to diagnostics.log in the folder of `event_log`.
void log_beside(const std::string& event_log);

// A program's complaint about its own command line: "PROGRAM: MESSAGE" on stderr, whatever KTSTR_LOG says.
void cli_error(std::string_view program, std::string_view message);

void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warning(std::string_view message);
void log_error(std::string_view message);

}  // namespace ktstr
