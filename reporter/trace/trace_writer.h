// Runs as a trace that ui.perfetto.dev opens: Chrome's JSON trace-event format (docs/formats.md lists what is in it).
//
// Most of it is written while a log is folded, so memory does not grow with the log; a reader of the format sorts by itself. Times are
// the guest's CLOCK_MONOTONIC; the repro VM has a clock of its own. Processes of the trace are groups of tracks, their threads
// tracks: a CPU, the phases, a probed task.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "reporter/html/run_picture.h"
#include "reporter/metrics_record.h"
#include "reporter/run_model.h"
#include "schemas/envelope.h"
#include "schemas/repro_generated.h"

namespace ktstr {

class TraceWriter {
 public:
  using Sink = std::function<Status(std::string_view)>;
  explicit TraceWriter(Sink sink);
  ~TraceWriter();

  // A log begins; its test's name goes before the names of its groups if there are several logs.
  void begin_log();
  void fold(const EventBuffer& event);
  // What only the whole log tells: phases, marks, the crash, the probe hits.
  void end_log(const RunModel& model);
  // Once. The first error of the sink, if there was one.
  Status finish();

  static constexpr size_t kMostHits = 200'000;  // of the repro VM that is shown
  static constexpr size_t kMostTracks = 8192;   // counters of one log
  static constexpr size_t kMostCpus = 1024;

 private:
  enum Group : unsigned { kCpus = 1, kCounters = 2, kRun = 3, kProbes = 4 };
  struct Running {
    int pid = 0;
    std::string comm, sched_class;
    int64_t since_ns = 0;
  };
  struct Hit {
    uint64_t ns;
    uint32_t target;
    int pid;
    uint16_t cpu;
    bool exit;
    std::string args;  // JSON object
    std::string comm;
  };

  unsigned process(Group group) const { return log_ * 10 + group; }
  void name_process(Group group, const std::string& name);
  void name_thread(Group group, int64_t thread, const std::string& name);
  void event(std::string_view json);
  void counter(const std::string& name, double value, int64_t at_ns);
  void sample(const MonitorSample& sample, int64_t at_ns);
  void end_task(unsigned cpu, Running& task, int64_t at_ns);
  void metrics(const EventBuffer& event);
  void hit(const ProbeHit& hit);
  void probe_slices();
  void flush();

  Sink sink_;
  Status status_;
  std::string buffer_;
  bool first_ = true;

  unsigned log_ = 0;  // from 1
  GuestClock clock_, repro_clock_;
  std::map<unsigned, Running> running_;
  MetricSources metric_sources_;
  std::map<std::string, double> counters_;  // last value written
  bool named_cpus_ = false;
  std::optional<ProbePlanT> plan_;
  std::vector<Hit> hits_;
  uint64_t hits_left_out_ = 0;
  uint64_t trigger_ns_ = 0;
  std::optional<ProbeTriggeredT> trigger_;
  int64_t last_ns_ = 0;
};

}  // namespace ktstr
