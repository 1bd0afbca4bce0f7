// ktstr-monitor on the bus: VmStarted opens a session, a timer drives it, VmExited closes it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "monitor/gate_watch.h"
#include "monitor/monitor_session.h"
#include "runtime/process.h"
#include "runtime/qmp_client.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {

class MonitorRole : public Role {
 public:
  std::string_view name() const override { return "monitor"; }
  // Its guard over a paused VM is a child (vm_hold). RAM is another process's file, which a Landlock domain may not open.
  std::optional<Confinement> confinement(const std::string&, const std::string&) const override {
    return Confinement{.may_fork = true};
  }
  void add_options(OptionSet& options) override;
  // `--ram FILE`: watch any guest's RAM and print it, without a run (monitor/inspect.h).
  std::optional<int> run_standalone() override;
  void on_event(const EventBuffer& event, Context& context) override;
  void on_stop(Context& context) override;

 private:
  using VmKey = std::pair<Vm, uint8_t>;  // VM and attempt
  struct Watched {
    std::unique_ptr<MonitorSession> session;
    int timer = 0, watch_timer = 0;
    // Of a deterministic VM: it is read only while it stands at its gate, on its own clock.
    std::unique_ptr<GateWatch> gate;
    std::unique_ptr<GuestClock> clock;
    MonitorSeam seam;
    uint64_t next_sample_ns = 0;
    std::vector<uint64_t> observe_ns;  // still to come, ascending
    uint64_t hold_at_ns = 0;           // 0: never, or done
    std::string qmp_path;
    std::optional<QmpClient> qmp;  // connected some gates before the one from which the VM is stopped
  };
  void hold_at_gate(VmKey vm, Watched& watched, uint64_t guest_ns, Context& context);
  void start(VmKey vm, const VmStarted& started, Context& context);
  void start_at_gate(VmKey vm, const VmStarted& started, Context& context);
  void at_gate(VmKey vm, Context& context);
  void stop(VmKey vm, const std::string& reason, Context& context);
  void publish(MonitorSession::Facts facts, VmKey vm, Context& context);
  void on_stage(VmKey vm, Stage stage);

  double period_ms_ = 100;
  double watch_ms_ = 1;
  std::string artifacts_;  // folder for frozen.json; empty: the log's
  std::vector<MapWriteT> writes_;
  uint64_t watchdog_timeout_ns_ = 0;
  std::string ram_path_;
  uint64_t inspect_samples_ = 1;
  SystemClock clock_;
  MonitorSeam seam_;
  LayoutCache layouts_;
  std::map<VmKey, Watched> watched_;
};

}  // namespace ktstr
