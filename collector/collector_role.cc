#include "collector/collector_role.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>

#include "base/log.h"
#include "schemas/client_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/run_generated.h"
#include "schemas/vm_files.h"

namespace ktstr {
namespace {

constexpr std::chrono::milliseconds kPumpPeriod{5};

// Names that a client may give a command: they become part of a file's name.
bool plain_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxCommandName && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
         });
}

std::string socket_name(Vm vm, bool console) { return console ? console_socket(vm) : channel_socket(vm); }

}  // namespace

// It reads the guest's bytes first: no files but the run's.
std::optional<Confinement> CollectorRole::confinement(const std::string& bus_folder,
                                                      const std::string& log_path) const {
  Confinement wanted;
  if (bus_folder.empty() || log_path.empty()) return wanted;
  wanted.readable = {std::filesystem::absolute(log_path).parent_path()};
  wanted.writable = {bus_folder};
  return wanted;
}

Status CollectorRole::on_start(Context& context) {
  context_ = &context;
  for (Listener& l : listeners_) {
    const std::string path = context.bus_folder() + "/" + socket_name(l.vm, l.carrier == kConsole);
    if (auto status = listen(l, path); !status) return std::move(status).error().within(path);
    context.watch(l.fd.get(), [this, &l] { accept_waiting(l); });
  }
  return {};
}

Status CollectorRole::listen(Listener& l, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return Error::invalid("socket path is longer than " + std::to_string(sizeof(address.sun_path) - 1) +
                          " bytes")
        .with_hint("choose a shorter run directory");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  l.fd = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!l.fd) return Error::from_errno("socket");
  ::unlink(path.c_str());
  if (::bind(l.fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return Error::from_errno("bind");
  if (::listen(l.fd.get(), 8) != 0) return Error::from_errno("listen");
  return {};
}

void CollectorRole::accept_waiting(Listener& l) {
  while (true) {
    UniqueFd fd(::accept4(l.fd.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    ++l.connections;
    if (l.vm == Vm::Primary && l.connections > 1) {
      log_info("a second connection to " + socket_name(l.vm, l.carrier == kConsole) + " is rejected");
      continue;
    }  // one primary VM a run: a second is not ours
    const Key key{l.vm, l.vm == Vm::Primary ? uint8_t{0} : l.connections};
    log_info(socket_name(l.vm, l.carrier == kConsole) + ": connected");
    Connection& connection = session(key).carriers[l.carrier];
    connection.seen = true;
    connection.fd = std::move(fd);
    context_->watch(connection.fd.get(), [this, key, carrier = l.carrier] { read(key, carrier); });
    if (l.carrier == kChannel) begin(key);
  }
}

// The work comes first, then what clients want. A VM that is not started may still be given up for another one on the same
// connection, so nothing is written to it.
void CollectorRole::begin(Key key) {
  Session& s = session(key);
  if (!s.started || !s.carriers[kChannel].fd || s.begun) return;
  s.begun = true;
  const std::string path = context_->bus_folder() + "/" + handover_file(key.first);
  if (UniqueFd bundle(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)); bundle) {
    s.sender.hand_over(std::move(bundle));
    pump(key, s);
  }
  release_held(key);
}

CollectorRole::Session& CollectorRole::session(Key key) {
  Session& s = sessions_[key];
  if (!s.intake) {
    s.intake = std::make_unique<VmIntake>(IntakeOptions{.vm = key.first,
                                                        .attempt = key.second,
                                                        .head = [this] { return context_->head(); },
                                                        .publish =
                                                            [this, key](EventBuffer event) {
                                                              if (auto* end = event.as<GuestCommandExited>())
                                                                sessions_[key].sender.ended(str(end->name()));
                                                              context_->publish_event(std::move(event));
                                                            }});
    if (auto it = accelerators_.find(key); it != accelerators_.end()) s.intake->set_accelerator(it->second);
  }
  return s;
}

void CollectorRole::read(Key key, Carrier carrier) {
  Session& s = session(key);
  if (!s.carriers[carrier].fd) return;
  read_once(s, carrier);
  if (s.intake->guest_finished()) {
    s.sender.say_goodbye();  // the guest powers off once it knows that all arrived
    pump(key, s);
  }
  finish_if_over(key);
}

// One bounded read: publishing blocks under back-pressure, so a guest is never read faster than the hub
// stores. False: nothing more now, or ended.
bool CollectorRole::read_once(Session& s, Carrier carrier) {
  const int fd = s.carriers[carrier].fd.get();
  if (fd < 0) return false;
  char buffer[64 * 1024];
  const ssize_t n = ::read(fd, buffer, sizeof(buffer));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (n <= 0) {
    close(s, carrier);
    return false;
  }
  const auto size = static_cast<size_t>(n);
  if (carrier == kConsole) {
    s.intake->on_console({buffer, size});
    return true;
  }
  s.intake->on_channel({reinterpret_cast<const uint8_t*>(buffer), size});
  return true;
}

void CollectorRole::close(Session& s, Carrier carrier) {
  UniqueFd& fd = s.carriers[carrier].fd;
  if (fd) context_->unwatch(fd.get());
  fd.reset();
  if (carrier == kConsole)
    s.intake->end_console();
  else
    s.intake->end_channel();
}

void CollectorRole::finish_if_over(Key key, const std::string& note) {
  Session& s = session(key);
  if (s.finished || !s.intake->ended()) return;
  s.finished = true;
  log_info(socket_name(key.first, false) + ": all of the VM is read" + (note.empty() ? "" : ": " + note));
  for (const std::string& name : std::set<std::string>(s.sender.waiting()))
    command_failed(key, name, "the VM ended before the command did");
  s.intake->finish(note);
}

void CollectorRole::command_failed(Key key, const std::string& name, const std::string& error) {
  GuestCommandExitedT fact;
  fact.name = name;
  fact.exit_code = 127;
  fact.error = error;
  context_->publish(std::move(fact), key.first, key.second);
}

// The command goes to the newest VM of the wanted kind, or to the next one that boots. Its files, if it has any,
// are in the bus folder, where only this user can write: they are not in the log, and a remote client cannot
// send any.
void CollectorRole::on_command(const EventBuffer& event) {
  const auto& request = *event.as<GuestCommandRequested>();
  const std::string name(str(request.name()));
  UniqueFd bundle;
  if (plain_name(name)) {
    const std::string path = context_->bus_folder() + "/guest." + name + ".bundle";
    bundle = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (bundle) ::unlink(path.c_str());
  }
  const Vm vm = request.vm() == Vm::Repro ? Vm::Repro : Vm::Primary;
  Key key{vm, 0};
  Session* live = nullptr;
  for (auto& [k, s] : sessions_)
    if (k.first == vm && s.carriers[kChannel].fd && !s.finished) key = k, live = &s;
  if (!plain_name(name))
    return command_failed(key, name.substr(0, kMaxCommandName),
                          "a command's name has 1 to 64 letters, digits, '_', '-' and '.', not '.' first");
  if (deterministic_)
    return command_failed(key, name,
                          "a deterministic run takes no commands: the host would decide when they come");
  if (live && live->begun) return pass_on(key, event, std::move(bundle));
  if (auto it = sessions_.find(key);
      vm == Vm::Primary && !live && it != sessions_.end() && it->second.carriers[kChannel].seen)
    return command_failed(key, name, "the VM has ended");
  hold(event, vm, std::move(bundle));
}

void CollectorRole::pass_on(Key key, const EventBuffer& event, UniqueFd bundle) {
  Session& s = session(key);
  if (auto added = s.sender.add(event, std::move(bundle)); !added)
    return command_failed(key, std::string(str(event.as<GuestCommandRequested>()->name())),
                          added.error().message());
  pump(key, s);
}

void CollectorRole::hold(const EventBuffer& event, Vm vm, UniqueFd bundle) {
  const std::string name(str(event.as<GuestCommandRequested>()->name()));
  // One that asks a command to end takes back what has not begun.
  auto* argv = event.as<GuestCommandRequested>()->argv();
  auto* fetch = event.as<GuestCommandRequested>()->fetch();
  if ((!argv || argv->size() == 0) && (!fetch || fetch->size() == 0)) {
    std::erase_if(held_,
                  [&](const Held& h) { return str(h.request.as<GuestCommandRequested>()->name()) == name; });
    return command_failed({vm, 0}, name, "taken back before its VM came");
  }
  if (held_.size() >= kMaxHeld) return command_failed({vm, 0}, name, "too many commands wait for the VM");
  held_.push_back({vm, event.clone(), std::move(bundle)});
}

void CollectorRole::release_held(Key key) {
  std::vector<Held> waiting = std::exchange(held_, {});
  for (Held& h : waiting) {
    if (h.vm == key.first)
      pass_on(key, h.request, std::move(h.bundle));
    else
      held_.push_back(std::move(h));
  }
}

void CollectorRole::fail_held(const std::string& error) {
  for (const Held& h : std::exchange(held_, {}))
    command_failed({h.vm, 0}, std::string(str(h.request.as<GuestCommandRequested>()->name())), error);
}

// Writes what the guest takes now; the rest goes out on a timer.
void CollectorRole::pump(Key key, Session& s) {
  const int fd = s.carriers[kChannel].fd.get();
  bool more = false;
  while (fd >= 0) {
    auto bytes = s.sender.next();
    for (auto& failure : s.sender.take_failures()) command_failed(key, failure.name, failure.error);
    if (bytes.empty()) break;
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      more = errno == EAGAIN;  // all else: the reading side tells of the end
      break;
    }
    s.sender.sent(static_cast<size_t>(n));
  }
  if (more && pump_timer_ < 0) pump_timer_ = context_->every(kPumpPeriod, [this] { pump_all(); });
}

void CollectorRole::pump_all() {
  const int timer = std::exchange(pump_timer_, -1);
  context_->cancel(timer);
  for (auto& [key, s] : sessions_) pump(key, s);
}

void CollectorRole::on_event(const EventBuffer& event, Context&) {
  const Key key{event.vm(), event->stamp()->attempt()};
  if (auto* run = event.as<RunStarted>()) {
    deterministic_ = run->determinism() != nullptr;
  } else if (auto* started = event.as<VmStarted>()) {
    accelerators_[key] = str(started->accelerator());
    Session& s = session(key);
    s.intake->set_accelerator(accelerators_[key]);
    s.started = true;
    begin(key);
  } else if (event.as<VmExited>()) {
    on_vm_exited(key);
  } else if (event.as<GuestCommandRequested>()) {
    on_command(event);
  } else if (event.as<FactsCompleted>()) {
    fail_held("no such VM was booted");
  }
}

// QEMU has ended: what it wrote is still in the sockets; a connection that it never made will not come.
void CollectorRole::on_vm_exited(Key key) {
  for (Listener& l : listeners_) accept_waiting(l);
  // An attempt whose QEMU never came this far has used up its number all the same.
  for (Listener& l : listeners_)
    if (l.vm == Vm::Repro && key.first == Vm::Repro) l.connections = std::max(l.connections, key.second);
  Session& s = session(key);
  std::string note;
  for (Carrier carrier : {kConsole, kChannel}) {
    while (read_once(s, carrier)) {
    }
    if (!s.carriers[carrier].seen) {
      note += std::string(note.empty() ? "" : "; ") + (carrier == kConsole ? "console" : "event channel") +
              " was never connected";
      close(s, carrier);
    }
  }
  finish_if_over(key, note);
}

}  // namespace ktstr
