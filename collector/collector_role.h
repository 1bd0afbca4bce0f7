// The adapter around VmIntake: listens for the VMs on the sockets of the bus folder, reads them, knows when
// one is over.
//
// Sockets: console.primary.sock, channel.primary.sock, console.repro.sock, channel.repro.sock; one connection
// each per VM; the n-th connection on the repro sockets is attempt n, and attempts that ended
// without connecting count. A VM is over when both of its
// connections have ended, or at VmExited for those that never came.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "collector/guest_sender.h"
#include "collector/vm_intake.h"
#include "runtime/process.h"
#include "schemas/common_generated.h"

namespace ktstr {

class CollectorRole : public Role {
 public:
  std::string_view name() const override { return "collector"; }
  std::optional<Confinement> confinement(const std::string& bus_folder,
                                         const std::string& log_path) const override;
  Status on_start(Context& context) override;
  void on_event(const EventBuffer& event, Context& context) override;

 private:
  enum Carrier { kConsole, kChannel };
  struct Listener {
    Vm vm;
    Carrier carrier;
    UniqueFd fd;
    uint8_t connections = 0;
  };
  struct Connection {
    UniqueFd fd;
    bool seen = false;
  };
  struct Session {
    std::unique_ptr<VmIntake> intake;
    std::array<Connection, 2> carriers;
    GuestSender sender;
    bool started = false;  // VmStarted has come: the guest runs, whatever its QEMU went through before
    bool begun = false;    // it is told its work, and commands
    bool finished = false;
  };
  using Key = std::pair<Vm, uint8_t>;

  Status listen(Listener& listener, const std::string& path);
  void accept_waiting(Listener& listener);
  Session& session(Key key);
  void read(Key key, Carrier carrier);
  bool read_once(Session& session, Carrier carrier);
  void close(Session& session, Carrier carrier);
  void finish_if_over(Key key, const std::string& note = {});
  void on_command(const EventBuffer& request);
  void hold(const EventBuffer& request, Vm vm, UniqueFd bundle);
  void pass_on(Key key, const EventBuffer& request, UniqueFd bundle);
  void begin(Key key);
  void release_held(Key key);
  void fail_held(const std::string& error);
  void command_failed(Key key, const std::string& name, const std::string& error);
  void pump_all();
  void pump(Key key, Session& session);
  void on_vm_exited(Key key);

  Context* context_ = nullptr;
  std::array<Listener, 4> listeners_{{{Vm::Primary, kConsole, {}},
                                      {Vm::Primary, kChannel, {}},
                                      {Vm::Repro, kConsole, {}},
                                      {Vm::Repro, kChannel, {}}}};
  std::map<Key, Session> sessions_;
  std::map<Key, std::string> accelerators_;
  bool deterministic_ = false;  // what a client asks for would come at a moment that the host decides
  // Commands for a VM that has not come yet.
  struct Held {
    Vm vm;
    EventBuffer request;
    UniqueFd bundle;
  };
  static constexpr size_t kMaxHeld = 16;
  std::vector<Held> held_;
  int pump_timer_ = -1;  // while a guest takes less than there is to say
};

}  // namespace ktstr
