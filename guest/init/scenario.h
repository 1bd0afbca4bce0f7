// What happens between the scheduler's attach and its end: workers, payloads, and the steps that change both.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "guest/init/core_catcher.h"
#include "guest/init/cpu_hotplug.h"
#include "guest/init/payload_process.h"
#include "guest/init/workload.h"
#include "workload/cgroups.h"

namespace ktstr {
struct TestSpecT;
struct StepT;
struct StepOpT;
struct PayloadSpecT;
}  // namespace ktstr

namespace ktstr::guest {

struct ScenarioOptions {
  const TestSpecT& spec;
  double time_scale = 1;
  std::function<void(const std::string&)> phase;  // tells that a phase has begun
  std::function<void()> before_go;  // waits before a group of workers starts; empty: all start together
};

class Scenario {
 public:
  Scenario(EventLoop& loop, EventChannel& channel, CoreCatcher& cores, ScenarioOptions options);
  ~Scenario();

  // Workers and payloads that start with the workload. An error leaves nothing running.
  Status start();
  // The steps, then the rest of the duration; until `over()`, or until the test's body has ended.
  void run(const std::function<bool()>& over);
  // Asks all to end and does not wait for it.
  void ask_to_stop();
  void stop(uint64_t grace_ns);
  // Says how each worker and each payload did.
  void report();

  bool on_end(pid_t pid, int wait_status, const rusage& usage);
  size_t workers() const { return workload_.workers(); }
  uint64_t dropped_lines() const;

 private:
  struct Outputs;  // of the programs of Custom work
  void apply(const StepT& step, uint32_t number);
  Status apply(const StepOpT& op, uint32_t step);
  Status start_payload(const PayloadSpecT& spec);
  Status wait_for(const std::string& payload);
  Status hotplug(const StepOpT& op);
  void wait_for_timed();
  PayloadProcess* last_of(const std::string& payload);
  Result<WorkerProgram> program_of(const std::string& payload);
  void look_at_payloads();
  bool over() const;
  uint64_t scaled(uint64_t ns) const {
    return static_cast<uint64_t>(static_cast<double>(ns) * options_.time_scale);
  }

  EventLoop& loop_;
  EventChannel& channel_;
  CoreCatcher& cores_;
  ScenarioOptions options_;
  Cgroups cgroups_;
  Workload workload_;
  CpuHotplug hotplug_;
  std::vector<std::unique_ptr<PayloadProcess>> payloads_;
  std::vector<std::unique_ptr<Outputs>> outputs_;
  std::function<bool()> outer_over_ = [] { return false; };
  uint64_t end_ns_ = 0;
  bool telling_ = false;
};

}  // namespace ktstr::guest
