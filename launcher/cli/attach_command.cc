// ktstr-launch runs; ktstr-launch attach RUN --name NAME [--guest] -- CMD…
//
// An attached command is an extra collector: its lines become CollectorLine events, with the time at which
// they were read. On the host their source is NAME; attach ends with the command, or with the
// run. With --guest the command runs in the VM: cli/guest_attach.cc.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>

#include "base/child.h"
#include "base/json.h"
#include "base/line_splitter.h"
#include "base/text.h"
#include "ktstr/client.h"
#include "launcher/cli/attach_parts.h"
#include "launcher/cli/command_line.h"
#include "launcher/run/live_runs.h"
#include "schemas/client_generated.h"
#include "schemas/envelope.h"
#include "schemas/exit_code.h"

namespace ktstr {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxLine = 4096;

// Reads the command's output into the stream until it ends, or the run does. Returns the number of lines.
Result<uint64_t> feed_until_end(Child& child, int output, Client& client) {
  LineSplitter splitter(kMaxLine);
  Status status;
  auto publish = [&](std::string_view text, bool truncated) {
    if (!status) return;
    CollectorLineT line;
    line.text = text;
    line.truncated = truncated;
    status = client.publish(std::move(line));
  };
  char chunk[65536];
  for (bool open = true; open && status;) {
    pollfd fds[] = {{output, POLLIN, 0}, {client.fd(), POLLIN, 0}};
    ::poll(fds, 2, 200);
    if (fds[0].revents) {
      const ssize_t n = ::read(output, chunk, sizeof chunk);
      open = n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
      if (n > 0) splitter.feed({chunk, static_cast<size_t>(n)}, publish);
    }
    if (auto heard = drain(client); !heard) return std::move(heard).error();
    if (!client.run_alive()) {
      child.terminate(milliseconds(2000));
      return splitter.lines();
    }
  }
  if (status) splitter.flush(publish);
  if (!status) return std::move(status).error();
  return splitter.lines();
}

int attach_on_host(const AttachCommandOptions& options, Client& client) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return report_error(Error::from_errno("pipe"), kInfra);
  UniqueFd read_end(ends[0]), write_end(ends[1]);
  auto child = Child::spawn({.argv = options.command,
                             .stdout_fd = write_end.get(),
                             .stderr_fd = write_end.get(),
                             .own_session = false});
  if (!child) return report_error(child.error(), kUsage);
  write_end.reset();
  auto lines = feed_until_end(*child, read_end.get(), client);
  if (!lines) return report_error(lines.error(), kInfra);
  const bool ended_by_us = !client.run_alive();
  std::fprintf(stderr, "%llu lines into %s as %s\n", static_cast<unsigned long long>(*lines),
               client.run().run_id.c_str(), printable(options.name).c_str());
  auto exit = child->wait(milliseconds(5000));
  if (ended_by_us) return exit && exit->signal == 0 ? exit->exit_code : 0;
  if (!exit)
    return report_error(Error::timeout("the command closed its output and did not end within 5 s"), kInfra);
  return exit->signal != 0 ? 128 + exit->signal : exit->exit_code;
}

}  // namespace

Status drain(Client& client) {
  while (true) {
    auto event = client.next();
    if (!event) return std::move(event).error();
    if (!*event) return {};
  }
}

namespace {

Result<RunInfo> find_target(const AttachCommandOptions& options) {
  if (options.run.starts_with("tcp://")) {
    if (options.key.empty())
      return Error::invalid(options.run + " needs a key")
          .with_hint("--key FILE; ktstr-launch keygen makes one");
    return remote_run(options.run, options.key);
  }
  auto run = find_live_run(folder_options(), options.run);
  if (!run) return std::move(run).error();
  if (run->replay) return Error::invalid(run->run_id + " is a recorded run: nothing can be added to it");
  return RunInfo{.run_id = run->run_id,
                 .bus = run->bus_folder,
                 .log = run->log,
                 .pid = run->pid,
                 .start_ns = run->start_ns};
}

}  // namespace

int attach_command(const AttachCommandOptions& options) {
  auto run = find_target(options);
  if (!run) return report_error(run.error(), run.error().kind() == ErrorKind::kTimeout ? kInfra : kUsage);
  auto client = Client::connect(*run, {.name = options.name, .await_join = true});
  if (!client)
    return report_error(client.error(), client.error().kind() == ErrorKind::kInvalid ? kUsage : kInfra);
  if (options.metrics) {
    MetricsDeclaredT declared;
    declared.name = options.name;
    if (auto s = client->publish(std::move(declared)); !s) return report_error(s.error(), kInfra);
  }
  return options.guest ? attach_in_guest(options, *client) : attach_on_host(options, *client);
}

}  // namespace ktstr
