// Commands of clients of the bus in the guest (`ktstr-launch attach RUN --guest -- CMD`): the collector sends
// their files as FileEmbedded frames, then GuestCommandRequested. Each line of output becomes a CollectorLine
// with the command's name, the end GuestCommandExited. They are ordinary processes, outside of the test's
// cgroups.
#pragma once

#include <sys/types.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/line_splitter.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "guest/init/event_channel.h"
#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"

namespace ktstr::guest {

class GuestCommands {
 public:
  // `root`: prefix of the files that come in; for tests.
  GuestCommands(EventLoop& loop, EventChannel& channel, std::string root = {});
  ~GuestCommands();

  // FileEmbedded or GuestCommandRequested; anything else is passed over.
  void on_event(const EventBuffer& event);
  // A child of PID 1 has ended. False: it is not one of ours.
  bool on_end(pid_t pid, int status);
  // Kills what still runs, and reports the end of each, with the files that were asked for. Returns once that is done or
  // `limit_ns` has passed, for each of the three.
  void stop(uint64_t limit_ns);
  size_t running() const { return commands_.size(); }

 private:
  static constexpr size_t kMaxCommands = 16;
  static constexpr uint64_t kMaxBytes = 256u << 20;  // of files, over the VM's life: they take up its memory
  static constexpr uint64_t kLinesPerSecond = 2000;  // of one command; above it lines are dropped and counted
  static constexpr size_t kMaxLine = 4096;

  struct Output {
    UniqueFd fd;
    LineSplitter lines{kMaxLine};
  };
  struct Command {
    std::string name;
    std::array<Output, 2> outputs;  // stdout, stderr
    uint64_t second = 0, lines_this_second = 0, dropped = 0;
    bool asked = false;  // to end
    std::vector<std::string> fetch;
  };
  // A command that has ended and whose files are on their way; its end is told after them.
  struct Fetch {
    GuestCommandExitedT end;
    std::vector<std::string> paths;  // left, the last one next
    std::string path;                // in hand
    UniqueFd fd;
    std::string text;  // a file without a size (/proc), read as a whole
    uint64_t size = 0, offset = 0;
  };

  Status write_piece(const FileEmbedded& piece);
  void start(const GuestCommandRequested& request);
  bool ask_to_end(const std::string& name);
  Result<pid_t> spawn(const std::vector<std::string>& argv, Command& command);
  bool read_output(Command& command, size_t which);
  void on_line(Command& command, size_t which, std::string_view text, bool truncated);
  void close_output(Output& output);
  void tell_exit(const std::string& name, pid_t pid, int status, std::string error,
                 std::vector<std::string> fetch = {});
  void send_files();
  Status open_next(Fetch& fetch);
  bool send_piece(Fetch& fetch);

  EventLoop& loop_;
  EventChannel& channel_;
  std::string root_;
  std::map<pid_t, std::unique_ptr<Command>> commands_;
  std::map<std::string, bool> kept_;  // files that were there before: path -> left as it is
  std::string file_error_;            // the first since the last command: its reason not to start
  uint64_t bytes_ = 0;
  std::deque<Fetch> fetches_;
  int fetch_timer_ = -1;
};

}  // namespace ktstr::guest
