// What a payload states on KTSTR_CHECK_FD, by line (README.md): a JSON object becomes a CheckReported. A test's body
// (ktstr/test.h) also says
//   worker HEX        what a worker that it ran itself did (workload/worker_report.h): a WorkerReport
//   {"phase": "…"}    a step of its own begins: a phase of the timeline
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "guest/init/event_channel.h"
#include "guest/init/output_reader.h"
#include "schemas/workload_generated.h"
#include "workload/worker_report.h"

namespace ktstr::guest {

// One line. What is no such object gives a nameless Inconclusive check that says so: it must not pass unseen.
CheckReportedT parse_check(std::string_view line, bool truncated);
// Empty: the line begins no phase.
std::optional<std::string> parse_body_phase(std::string_view line);

class CheckReader {
 public:
  CheckReader(EventLoop& loop, EventChannel& channel)
      : channel_(channel),
        reader_(
            loop, [this](auto text, bool cut, uint64_t ns) { line(text, cut, ns); }, OutputReader::kAnyRate,
            kMaxLine) {}
  // A body's own steps begin phases; without this they are none of its.
  void set_on_phase(std::function<void(const std::string&)> on_phase) { on_phase_ = std::move(on_phase); }
  // Our end of the socket.
  void start(UniqueFd socket) { reader_.start(std::move(socket)); }
  void drain(bool last) { reader_.drain(last); }

 private:
  // No rate: a line left out may be the failure, and the socket holds back who writes too fast.
  static constexpr uint64_t kMost = 10'000, kMostWorkers = 10'000, kMostPhases = 100;
  static constexpr size_t kMaxLine = kMaxReportLine;
  void line(std::string_view text, bool truncated, uint64_t guest_ns);
  void worker(std::string_view text, bool truncated, uint64_t guest_ns);
  void check(CheckReportedT fact, uint64_t guest_ns);

  EventChannel& channel_;
  OutputReader reader_;
  std::function<void(const std::string&)> on_phase_;
  uint64_t seen_ = 0, workers_ = 0, phases_ = 0;
};

}  // namespace ktstr::guest
