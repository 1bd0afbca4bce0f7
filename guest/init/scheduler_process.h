// The scheduler under test: started (under the notify filter when ktstr-probe listens), read, ended, reaped.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "guest/init/event_channel.h"
#include "guest/init/output_reader.h"
#include "schemas/common_generated.h"

namespace ktstr {
struct SchedulerSpecT;
}

namespace ktstr::guest {

struct ProcessEnd {
  int exit_code = 0;
  int signal = 0;
  bool dumped_core = false;
  std::string to_string() const;  // "exit code 3", "signal 11 (Segmentation fault)"
};

class SchedulerProcess {
 public:
  SchedulerProcess(EventLoop& loop, EventChannel& channel)
      : channel_(channel),
        out_(loop, [this](auto text, bool cut, uint64_t ns) { line(OutputStream::Stdout, text, cut, ns); }),
        err_(loop, [this](auto text, bool cut, uint64_t ns) { line(OutputStream::Stderr, text, cut, ns); }) {}

  // Returns once exec succeeded; its failure is the error ("start /ktstr/sched/scx_x: No such file or
  // directory"). With `filtered`, take_listener() gives the filter's listener afterwards.
  Status start(const SchedulerSpecT& spec, bool filtered);

  pid_t pid() const { return pid_; }
  UniqueFd take_listener() { return std::move(listener_); }
  bool started() const { return pid_ > 0; }
  bool running() const { return started() && !end_; }
  const std::optional<ProcessEnd>& end() const { return end_; }

  // The reaper found it.
  void on_end(int wait_status);
  void signal(int signo);
  bool end_requested() const { return end_requested_; }

  // Reads what its pipes hold; `last` hands out partial lines too.
  void drain_output(bool last);
  uint64_t last_output_ns() const;
  uint64_t dropped_lines() const { return out_.dropped() + err_.dropped(); }
  // Its last line for an error message: of stderr if there is one.
  const std::string& last_words() const {
    return err_.last_line().empty() ? out_.last_line() : err_.last_line();
  }

 private:
  void line(OutputStream stream, std::string_view text, bool truncated, uint64_t guest_ns);

  EventChannel& channel_;
  OutputReader out_, err_;
  UniqueFd listener_;
  pid_t pid_ = -1;
  std::optional<ProcessEnd> end_;
  bool end_requested_ = false;
};

}  // namespace ktstr::guest
