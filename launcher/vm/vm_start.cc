#include "launcher/vm/vm_start.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <iterator>
#include <optional>

#include "base/clock.h"
#include "base/json.h"
#include "base/line_splitter.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/text.h"
#include "launcher/vm/qemu_user.h"
#include "runtime/qmp_client.h"
#include "schemas/envelope.h"
#include "schemas/frame_codec.h"
#include "schemas/guest_generated.h"
#include "schemas/guest_paths.h"

namespace ktstr {
namespace {

constexpr int kQmpMs = 20'000;
constexpr uint64_t kMigrateLimit = 20 * kSecond;
constexpr size_t kMaxTemplateInput = 16u << 20;  // what a booting guest may say before it waits

struct SocketPair {
  UniqueFd ours, qemus;
};

Result<SocketPair> socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Error::from_errno("socketpair");
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<UniqueFd> state_memory() {
  UniqueFd fd(::memfd_create("ktstr-vm-state", MFD_CLOEXEC));
  if (!fd) return Error::from_errno("memfd for the device state");
  return fd;
}

// The guest's RAM stays in its memfd, which QEMU maps shared; only devices and ROMs go through the stream.
Status leave_ram_out(QmpClient& qmp) {
  auto set = qmp.execute("migrate-set-capabilities",
                         R"({"capabilities": [{"capability": "x-ignore-shared", "state": true},
                                              {"capability": "events", "state": true}]})");
  if (!set) return std::move(set).error();
  return {};
}

// Until the stream is through, in either direction.
Status await_migration(QmpClient& qmp) {
  const uint64_t deadline = now_ns() + kMigrateLimit;
  while (true) {
    auto answer = qmp.execute("query-migrate");
    if (!answer) return std::move(answer).error();
    const Json state = parse_json(*answer);
    const std::string status = state.is_object() ? state.value("status", "") : "";
    if (status == "completed") return {};
    if (status == "failed" || status == "cancelled")
      return Error::system("QEMU's migration: " + state.value("error-desc", status));
    if (now_ns() > deadline) return Error::timeout("QEMU's migration did not end: " + status);
    pollfd event{qmp.fd(), POLLIN, 0};  // the next change of its state
    ::poll(&event, 1, 10);
  }
}

Status migrate(QmpClient& qmp, const char* command, int state_fd) {
  if (auto s = leave_ram_out(qmp); !s) return s;
  auto passed = qmp.execute("getfd", R"({"fdname": "state"})", state_fd);
  if (!passed) return std::move(passed).error();
  auto begun = qmp.execute(command, R"({"uri": "fd:state"})");
  if (!begun) return std::move(begun).error();
  return await_migration(qmp);
}

struct StartedQemu {
  RunningVm vm;
  UniqueFd control;  // the launcher's QMP; nothing without options.control_fd
};

Result<UniqueFd> listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);  // build_qemu_command() has checked its length
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::unlink(path.c_str());  // of an earlier attempt
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(fd.get(), 1) != 0)
    return Error::from_errno("listen at " + path);
  return fd;
}

// As another user: sockets and files are the launcher's, and what that user cannot reach, QEMU inherits.
Result<std::unique_ptr<QemuProcess>> start_as(const ChildUser& user, QemuOptions options, LentFiles& lent) {
  UniqueFd qmp, gdb;
  auto listen = [](UniqueFd& fd, int& number, const std::string& path) -> Status {
    auto made = listen_at(path);
    if (!made) return std::move(made).error();
    fd = std::move(*made);
    number = fd.get();
    return {};
  };
  if (!options.qmp_socket.empty())
    if (auto s = listen(qmp, options.qmp_listener, options.qmp_socket); !s) return std::move(s).error();
  if (options.gdb)
    if (auto s = listen(gdb, options.gdb->listener, options.gdb->socket); !s) return std::move(s).error();
  auto argv = build_qemu_command(options);
  if (!argv) return std::move(argv).error();
  std::vector<int> inherit = inherited_fds(options);
  const std::vector<int> files = lent.fds();
  inherit.insert(inherit.end(), files.begin(), files.end());
  return QemuProcess::start(*argv, inherit, qemu_environment(options), user);
}

Result<std::unique_ptr<QemuProcess>> start_qemu(const QemuOptions& options) {
  if (auto user = qemu_user(options)) {
    LentFiles lent(*user);
    QemuOptions reachable = options;
    const Status made = lent.lend(reachable);
    if (made) return start_as(*user, std::move(reachable), lent);
    log_info("QEMU keeps root: " + made.error().message());  // a file system without owners
  }
  auto argv = build_qemu_command(options);
  if (!argv) return std::move(argv).error();
  return QemuProcess::start(*argv, inherited_fds(options), qemu_environment(options));
}

// The command line of the RunningVm is the one with paths, which means the same.
Result<RunningVm> start(QemuOptions options) {
  auto ram = GuestRam::create(uint64_t{options.memory_mb} << 20);
  if (!ram) return std::move(ram).error();
  options.ram_fd = ram->fd();
  auto argv = build_qemu_command(options);
  if (!argv) return std::move(argv).error();
  auto qemu = start_qemu(options);
  if (!qemu) return std::move(qemu).error();
  return RunningVm{std::nullopt, std::move(*ram), std::move(*qemu), std::move(options), std::move(*argv)};
}

// As `start`, with a QMP of our own.
Result<StartedQemu> start_controlled(QemuOptions options) {
  auto control = socket_pair();
  if (!control) return std::move(control).error();
  options.control_fd = control->qemus.get();
  auto vm = start(std::move(options));
  if (!vm) return std::move(vm).error();
  vm->options.control_fd = -1;
  return StartedQemu{std::move(*vm), std::move(control->ours)};
}

// QEMU's own last line explains more than a closed socket.
Error with_last_words(Error error, QemuProcess& qemu) {
  qemu.wait_exit(200);
  qemu.drain_output();
  const auto tail = qemu.output_tail();
  return tail.empty() ? error : std::move(error).within(printable(tail.back()));
}

// Ended, the guest's memory stays as it is.
Status keep_at_its_end(QmpClient& qmp) {
  auto set = qmp.execute("set-action", R"({"shutdown": "pause"})");
  return set ? Status() : Status(std::move(set).error());
}

Status resume(StartedQemu& started, const TemplateFile& saved, bool control) {
  auto state = state_memory();
  if (!state) return std::move(state).error();
  // QEMU starts meanwhile; it does not touch the RAM before the stream is in.
  if (auto s = saved.load(started.vm.ram.fd(), state->get()); !s) return s;
  auto qmp = QmpClient::over(std::move(started.control), kQmpMs);
  if (!qmp) return std::move(qmp).error();
  if (::lseek(state->get(), 0, SEEK_SET) != 0) return Error::from_errno("the device state");
  if (auto s = migrate(*qmp, "migrate-incoming", state->get()); !s) return s;
  if (control)
    if (auto s = keep_at_its_end(*qmp); !s) return s;
  if (auto s = qmp->cont(); !s) return s;
  if (control) started.vm.control.emplace(std::move(*qmp));
  return {};
}

Result<RunningVm> boot_controlled(QemuOptions options) {
  auto started = start_controlled(std::move(options));
  if (!started) return std::move(started).error();
  auto qmp = QmpClient::over(std::move(started->control), kQmpMs);
  if (!qmp) return with_last_words(std::move(qmp).error(), *started->vm.qemu);
  if (auto kept = keep_at_its_end(*qmp); !kept)
    return with_last_words(std::move(kept).error(), *started->vm.qemu);
  started->vm.control.emplace(std::move(*qmp));
  return std::move(started->vm);
}

void add_file(Sha256& hash, const struct stat& st) {
  const uint64_t words[] = {st.st_dev,
                            st.st_ino,
                            static_cast<uint64_t>(st.st_size),
                            static_cast<uint64_t>(st.st_mtim.tv_sec),
                            static_cast<uint64_t>(st.st_mtim.tv_nsec),
                            static_cast<uint64_t>(st.st_ctim.tv_sec),
                            static_cast<uint64_t>(st.st_ctim.tv_nsec)};
  hash.add({reinterpret_cast<const uint8_t*>(words), sizeof words});
}

void add_text(Sha256& hash, std::string_view text) {
  const uint64_t size = text.size();
  hash.add({reinterpret_cast<const uint8_t*>(&size), sizeof size});
  hash.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

Status add_path(Sha256& hash, const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return Error::from_errno(path);
  add_file(hash, st);
  return {};
}

// A VM that boots to become a template.
class Maker {
 public:
  explicit Maker(const TemplateRequest& request) : request_(request) {}

  Status make() {
    if (auto s = boot(); !s) return s;
    const uint64_t deadline = now_ns() + request_.boot_ns;
    while (!waiting_) {
      if (auto s = turn(deadline); !s) return s;
    }
    return save();
  }

 private:
  Status boot() {
    auto console = socket_pair(), channel = socket_pair();
    if (!console) return std::move(console).error();
    if (!channel) return std::move(channel).error();
    QemuOptions options = request_.options;
    options.name = "ktstr-template";
    options.kernel_args.insert(options.kernel_args.begin(), kTemplateSwitch);  // a spec's come last, and win
    options.console_fd = console->qemus.get();
    options.channel_fd = channel->qemus.get();
    auto started = start_controlled(std::move(options));
    if (!started) return std::move(started).error();
    started_.emplace(std::move(*started));
    console_ = std::move(console->ours);
    channel_ = std::move(channel->ours);
    return {};
  }

  Status turn(uint64_t deadline) {
    QemuProcess& qemu = *started_->vm.qemu;
    const uint64_t now = now_ns();
    if (now >= deadline)
      return Error::timeout("its guest did not wait for work after " + human_ns(request_.boot_ns) + said());
    pollfd fds[] = {{console_.get(), POLLIN, 0},
                    {channel_.get(), POLLIN, 0},
                    {qemu.pidfd(), POLLIN, 0},
                    {request_.stop_fd, POLLIN, 0}};
    ::poll(fds, std::size(fds), static_cast<int>(std::min<uint64_t>((deadline - now) / kMs + 1, INT_MAX)));
    if (fds[3].revents != 0) return Error::timeout("interrupted");
    uint8_t chunk[32 * 1024];
    if (fds[0].revents != 0)
      if (const ssize_t n = ::read(console_.get(), chunk, sizeof chunk); n > 0)
        lines_.feed({reinterpret_cast<const char*>(chunk), static_cast<size_t>(n)},
                    [this](std::string_view line, bool) {
                      if (!line.empty()) last_line_ = line;
                    });
    if (fds[1].revents != 0)
      if (const ssize_t n = ::read(channel_.get(), chunk, sizeof chunk); n > 0)
        listen({chunk, static_cast<size_t>(n)});
    if (heard_ > kMaxTemplateInput) return Error::invalid("its guest talks too much");
    if (fds[2].revents != 0 && qemu.try_reap())
      return with_last_words(Error::system("its QEMU ended before the guest waited for work" + said()), qemu);
    return {};
  }

  void listen(std::span<const uint8_t> bytes) {
    heard_ += bytes.size();
    frames_.feed(bytes);
    while (auto payload = frames_.next()) {
      auto event = EventBuffer::from_bytes(*payload);
      if (!event) continue;
      const auto* reached = event->as<StageReached>();
      waiting_ = waiting_ || (reached && reached->stage() == Stage::InitStarted);
    }
  }

  Status save() {
    auto state = state_memory();
    if (!state) return std::move(state).error();
    QemuProcess& qemu = *started_->vm.qemu;
    auto saved = [&]() -> Status {
      auto qmp = QmpClient::over(std::move(started_->control), kQmpMs);
      if (!qmp) return std::move(qmp).error();
      if (auto s = qmp->stop(); !s) return s;
      return migrate(*qmp, "migrate", state->get());
    }();
    if (!saved) return with_last_words(std::move(saved).error(), qemu);
    qemu.kill_and_reap();  // nobody writes into the RAM any more
    return write_template(request_.path, request_.key, started_->vm.ram.fd(), started_->vm.ram.bytes(),
                          state->get());
  }

  std::string said() const {
    return last_line_.empty() ? "" : "; its console's last line: " + printable(last_line_);
  }

  const TemplateRequest& request_;
  std::optional<StartedQemu> started_;
  UniqueFd console_, channel_;
  LineSplitter lines_{4096};
  FrameDecoder frames_;
  std::string last_line_;
  uint64_t heard_ = 0;
  bool waiting_ = false;
};

}  // namespace

Result<RunningVm> boot_vm(QemuOptions options, bool control) {
  return control ? boot_controlled(std::move(options)) : start(std::move(options));
}

Result<RunningVm> restore_vm(QemuOptions options, const TemplateFile& saved, bool control) {
  options.incoming = true;
  auto started = start_controlled(std::move(options));
  if (!started) return std::move(started).error();
  if (auto s = resume(*started, saved, control); !s)
    return with_last_words(std::move(s).error(), *started->vm.qemu);
  return std::move(started->vm);
}

Result<std::string> template_key(const QemuOptions& options, const Initramfs& generic) {
  // Two VMs differ in nothing but what is named here; descriptors and sockets are the host's.
  QemuOptions bare = options;
  bare.ram_fd = bare.console_fd = bare.channel_fd = 3;
  bare.control_fd = -1;
  bare.incoming = false;
  bare.qmp_socket = "/";
  bare.name = "";
  bare.initrd = options.initrd.empty() ? "" : "/";
  auto argv = build_qemu_command(bare);
  if (!argv) return std::move(argv).error();
  Sha256 hash;
  add_text(hash, "ktstr template 1");
  for (const std::string& word : *argv) add_text(hash, word);
  for (const std::string& path : {options.qemu, options.kernel})
    if (auto s = add_path(hash, path); !s) return std::move(s).error();
  auto named = generic.visit(Initramfs::Part::kGeneric, [&](const Initramfs::File& file) -> Status {
    add_text(hash, file.guest_path);
    add_text(hash, std::to_string(file.mode));
    add_text(hash, file.bytes);
    return file.host_path.empty() ? Status() : add_path(hash, file.host_path);
  });
  if (!named) return std::move(named).error();
  return hash.hex();
}

Status make_template(const TemplateRequest& request) { return Maker(request).make(); }

}  // namespace ktstr
