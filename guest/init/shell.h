// The guest's end of `ktstr-launch shell`: one sh with a terminal, or with three pipes, between messages of the channel
// (schemas/shell.fbs). Busybox, which the launcher brings, gives it the usual commands.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "guest/init/event_channel.h"
#include "schemas/plan_generated.h"
#include "schemas/shell_generated.h"

namespace ktstr::guest {

class GuestShell {
 public:
  // `sh`: the program and its first arguments; for tests.
  GuestShell(EventLoop& loop, EventChannel& channel, std::vector<std::string> sh = {});
  ~GuestShell();

  // Says ShellStarted, or the reason in ShellExited.
  void start(const ShellPlanT& plan);
  void on_message(const ShellMessage& message);
  // A child of PID 1 has ended. False: it is not the shell.
  bool on_end(pid_t pid, int status);
  // ShellExited is said.
  bool over() const { return over_; }

 private:
  static constexpr size_t kLongQueue = 256u << 10;  // bytes in the channel: no more is taken from the shell
  static constexpr size_t kShortQueue = 64u << 10;  // … until no more than this is left
  static constexpr size_t kLastWords =
      1u << 20;  // taken after its end; somebody that it left behind may write for ever

  Status spawn(const ShellPlanT& plan);
  Status make_terminal(const ShellPlanT& plan, std::array<UniqueFd, 3>& shells);
  Status make_pipes(std::array<UniqueFd, 3>& shells);
  void become_shell(const std::vector<std::string>& argv, const ShellPlanT& plan,
                    const std::array<UniqueFd, 3>& shells, int report);
  void take_input(std::span<const uint8_t> bytes, bool end);
  void write_input();
  void watch();
  bool read_output(size_t which);
  void close_output(size_t which);
  void close_input();
  void taken(size_t bytes);
  template <typename T>
  void say(T fact);

  EventLoop& loop_;
  EventChannel& channel_;
  std::vector<std::string> sh_;
  pid_t pid_ = 0;
  bool terminal_ = false, over_ = false;
  UniqueFd input_;                   // of a shell with pipes
  std::array<UniqueFd, 2> outputs_;  // a terminal is the first, in both directions
  std::vector<uint8_t> pending_;     // input that it has not taken
  bool end_of_input_ = false;
  bool paused_ = false;  // the channel's queue is long
  int timer_ = 0;
};

}  // namespace ktstr::guest
