#include "base/log.h"

#include <fcntl.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>

#include "base/text.h"
#include "base/unique_fd.h"

namespace ktstr {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

std::optional<LogLevel> level_named(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info") return LogLevel::kInfo;
  if (name == "warning" || name == "warn") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  if (name == "off") return LogLevel::kOff;
  return std::nullopt;
}

constexpr std::string_view kProcesses[] = {"launcher", "collector", "monitor", "reproer", "reporter"};

// spdlog's own file sinks buffer in stdio, which cuts a line in two where the buffer ends. With O_APPEND one write(2) is
// one place in the file, whoever else writes.
class LineSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void set_fd(UniqueFd fd) {
    std::lock_guard lock(mutex_);
    fd_ = std::move(fd);
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (!fd_) return;
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    // A full disk or a closed stderr must not stop a run: the line is lost.
    if (::write(fd_.get(), line.data(), line.size()) < 0) return;
  }
  void flush_() override {}

 private:
  UniqueFd fd_;
};

class Log {
 public:
  Log() : to_stderr_(std::make_shared<LineSink>()), to_file_(std::make_shared<LineSink>()) {
    to_stderr_->set_fd(UniqueFd(STDERR_FILENO));  // never closed: the log is never destroyed
    set("ktstr", "ktstr", {});
  }

  void set(const std::string& process, const std::string& program, const LogLevels& levels) {
    to_stderr_->set_pattern(program + ": %v");
    to_stderr_->set_level(to_spdlog(levels.stderr_level));
    to_file_->set_pattern("%Y-%m-%d %H:%M:%S.%e %-9n %-7l %v");
    to_file_->set_level(to_spdlog(levels.file_level));
    logger_ = std::make_unique<spdlog::logger>(process, spdlog::sinks_init_list{to_stderr_, to_file_});
    logger_->set_level(to_spdlog(std::min(levels.stderr_level, levels.file_level)));
  }

  void set_file(UniqueFd fd) { to_file_->set_fd(std::move(fd)); }

  void write(LogLevel level, std::string_view message) {
    if (!logger_->should_log(to_spdlog(level))) return;
    while (true) {
      const size_t end = message.find('\n');
      logger_->log(to_spdlog(level), "{}", printable(message.substr(0, end)));
      if (end == std::string_view::npos) return;
      message.remove_prefix(end + 1);
    }
  }

 private:
  std::shared_ptr<LineSink> to_stderr_, to_file_;
  std::unique_ptr<spdlog::logger> logger_;
};

// One for the process, as stderr is. Never destroyed: threads may log while main() returns.
Log& the_log() {
  static Log* log = new Log;
  return *log;
}

}  // namespace

Result<LogLevels> parse_log_levels(std::string_view value, std::string_view process) {
  std::optional<LogLevel> for_all, for_one;
  for (std::string_view rest = value; !trim(rest).empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view entry = trim(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const size_t equals = entry.find('=');
    const bool names_one = equals != std::string_view::npos;
    const std::string_view name = names_one ? trim(entry.substr(0, equals)) : std::string_view();
    const auto level = level_named(trim(names_one ? entry.substr(equals + 1) : entry));
    const bool known =
        !names_one || std::find(std::begin(kProcesses), std::end(kProcesses), name) != std::end(kProcesses);
    if (!level || !known)
      return Error::invalid("KTSTR_LOG: \"" + printable(entry) + "\" is no " + (known ? "level" : "process"))
          .with_hint(
              "KTSTR_LOG=debug or KTSTR_LOG=monitor=debug,launcher=info; levels: debug, info, warning, "
              "error, "
              "off; processes: launcher, collector, monitor, reproer, reporter");
    if (!names_one)
      for_all = level;
    else if (name == process)
      for_one = level;
  }
  LogLevels levels;
  const auto asked = for_one ? for_one : for_all;
  if (!asked) return levels;
  levels.stderr_level = *asked;
  // A quieter stderr takes nothing from the file.
  levels.file_level = std::min(*asked, levels.file_level);
  return levels;
}

void start_log(const LogOptions& options) {
  const char* value = std::getenv("KTSTR_LOG");
  auto levels = parse_log_levels(value ? value : "", options.process);
  the_log().set(options.process, options.program, levels ? *levels : LogLevels());
  if (!levels && options.complain) log_warning(levels.error().to_string());
}

void log_beside(const std::string& event_log) {
  const std::string path = (std::filesystem::path(event_log).parent_path() / "diagnostics.log").string();
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const bool opened = fd.valid();
  const Error error = Error::from_errno("open " + path);
  the_log().set_file(std::move(fd));
  if (!opened) log_warning(error.to_string());
}

void cli_error(std::string_view program, std::string_view message) {
  std::fprintf(stderr, "%s: %s\n", printable(program).c_str(), printable(message).c_str());
}

void log_debug(std::string_view message) { the_log().write(LogLevel::kDebug, message); }
void log_info(std::string_view message) { the_log().write(LogLevel::kInfo, message); }
void log_warning(std::string_view message) { the_log().write(LogLevel::kWarning, message); }
void log_error(std::string_view message) { the_log().write(LogLevel::kError, message); }

}  // namespace ktstr
