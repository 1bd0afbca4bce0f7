// One payload: a program in the VM beside the workers, from its start to PayloadExited.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "guest/init/check_reader.h"
#include "guest/init/event_channel.h"
#include "guest/init/output_reader.h"
#include "schemas/common_generated.h"

namespace ktstr {
struct TestSpecT;
struct PayloadSpecT;
}  // namespace ktstr

namespace ktstr::guest {

// "KTSTR_TEST=…", … as README.md lists them.
std::vector<std::string> payload_environment(const TestSpecT& spec, const std::string& payload);

class PayloadProcess {
 public:
  PayloadProcess(EventLoop& loop, EventChannel& channel, const PayloadSpecT& spec);

  void set_on_phase(std::function<void(const std::string&)> on_phase) {
    checks_.set_on_phase(std::move(on_phase));
  }
  // Forked into the cgroup at `folder`. Its failure to exec is the error. Says PayloadStarted.
  Status start(int folder, const TestSpecT& test);
  // An end that was requested is no failure.
  void ask_to_stop(int signo);
  // Kills it at its timeout; this is a failure.
  void time_out();

  const PayloadSpecT& spec() const { return spec_; }
  pid_t pid() const { return pid_; }
  bool started() const { return pid_ > 0; }
  bool running() const { return started() && !status_; }
  uint64_t started_ns() const { return started_ns_; }

  // The reaper calls this. finish() reads its last output and sends PayloadExited, not the reaper, because the core
  // of a payload that died by a signal takes time to arrive.
  void on_end(int wait_status);
  bool to_be_told() const { return status_ && !told_; }
  bool dumped_core() const;
  void finish(std::vector<std::string> core_frames);
  uint64_t dropped_lines() const { return out_.dropped() + err_.dropped(); }

 private:
  void line(OutputStream stream, std::string_view text, bool truncated, uint64_t guest_ns);

  EventChannel& channel_;
  const PayloadSpecT& spec_;
  OutputReader out_, err_;
  CheckReader checks_;
  pid_t pid_ = -1;
  uint64_t started_ns_ = 0, ended_ns_ = 0;
  std::optional<int> status_;
  bool stopped_ = false, timed_out_ = false, told_ = false;
};

}  // namespace ktstr::guest
