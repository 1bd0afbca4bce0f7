// The four helper processes of one run: started, watched, their starts and ends told on the bus.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "launcher/run/helpers.h"
#include "launcher/run/progress.h"
#include "launcher/run/run_bus.h"

namespace ktstr {

class HelperSet {
 public:
  // All of them outlive this.
  HelperSet(EventLoop& loop, Progress& progress) : loop_(loop), progress_(progress) {}

  // `arguments_of`: what a helper gets besides the usual. `interrupted`: looked at before each start. An error: the collector
  // could not be started, without which no VM is booted; another helper that is missing is named by the report.
  Status start(RunBus& bus, const HelperOptions& usual,
               const std::function<std::vector<std::string>(std::string_view)>& arguments_of,
               const std::function<bool()>& interrupted);
  // Finds those that ended by themselves.
  void watch(RunBus& bus);
  bool alive(std::string_view name) const;
  // The collector was sent SIGSTOP: a guest that is not heard is not silent.
  bool collector_stopped() const;
  // "collector: killed by signal 9": why it did not do its part.
  std::string what_became_of(std::string_view name) const;
  // Ends one that runs.
  void terminate(std::string_view name, std::chrono::milliseconds patience);
  // Waits for their own end, and ends those that do not. `wait`: false: they will hear of no end.
  void see_off(bool wait, std::chrono::milliseconds patience);

 private:
  const Helper* find(std::string_view name) const;

  EventLoop& loop_;
  Progress& progress_;
  std::vector<Helper> helpers_;
};

}  // namespace ktstr
