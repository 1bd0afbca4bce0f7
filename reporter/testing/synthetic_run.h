// Builds event streams for tests: a run told step by step, with text from real kernels (testdata/).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "reporter/report.h"
#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr::testing {

// The lines of a file in testdata/. Fails the calling test when it is not there.
std::vector<std::string> sample(const std::string& name);

struct FrameText {
  std::string function;
  uint32_t offset = 0;
  std::string tag = {};
  std::string file = {};
  uint32_t line = 0;
  std::string text = {};
};

class SyntheticRun {
 public:
  explicit SyntheticRun(const std::string& test = "enqueue_crash", const std::string& scheduler = "demo");

  RunStartedT& started() { return *started_; }  // change it before the first event
  TestSpecT& spec() { return *started_->spec; }
  void environment(const std::string& name, const std::string& value);

  template <typename T>
  SyntheticRun& add(T payload, Vm vm = Vm::Primary, uint8_t attempt = 0) {
    flush_start();
    push(std::move(payload), vm, attempt, "synthetic");
    return *this;
  }
  template <typename T>
  SyntheticRun& add_from(const std::string& source, T payload, Vm vm) {
    flush_start();
    push(std::move(payload), vm, 0, source);
    return *this;
  }
  SyntheticRun& advance_ms(uint64_t ms) {
    now_ms_ += ms;
    return *this;
  }
  void console(const std::vector<std::string>& lines, Vm vm = Vm::Primary);
  void scheduler_output(const std::vector<std::string>& lines, Vm vm = Vm::Primary);
  void dump(const std::vector<std::string>& lines, Vm vm = Vm::Primary);

  // Stories. Each continues where the one before ended.
  void boot(Vm vm = Vm::Primary, uint8_t attempt = 0);  // VmStarted to PlanRead
  void attach(const std::string& ops, Vm vm = Vm::Primary);
  void start_workload(Vm vm = Vm::Primary);
  void monitor_samples(int count, unsigned busiest = 2);
  void report_workers(uint64_t iterations = 1000);
  void detach(const std::string& ops, Vm vm = Vm::Primary);
  void finish_workload(Vm vm = Vm::Primary);
  // GuestFinished to VmSettled.
  void power_off(bool scheduler_ended_itself = false, int exit_code = 0, int signal = 0, Vm vm = Vm::Primary);
  void vm_end(VmEnd end, Vm vm = Vm::Primary, const std::string& deadline = {});
  void complete();  // FactsCompleted

  static CrashDetectedT crash(uint64_t kind, const std::string& reason, const std::string& message,
                              const std::vector<FrameText>& frames);
  // A whole good run, up to FactsCompleted.
  static SyntheticRun good();
  // The demo scheduler's scx_bpf_error, as recorded on 7.3; without the repro, up to VmSettled.
  static SyntheticRun demo_crash();
  static void add_demo_crash(SyntheticRun& run);  // from boot to VmSettled

  const std::vector<EventBuffer>& events();
  Report report();
  std::string text() { return report().text; }
  // Writes a log with the real writer.
  void write_log(const std::filesystem::path& path);

 private:
  template <typename T>
  void push(T payload, Vm vm, uint8_t attempt, const std::string& source) {
    EventHead head{.run_id = "20261121-test",
                   .source = source,
                   .vm = vm,
                   .attempt = attempt,
                   .host_ns = now_ms_ * 1'000'000,
                   .guest_ns = 0};
    if (vm != Vm::Host && guest_zero_ms_ <= now_ms_)
      head.guest_ns = (now_ms_ - guest_zero_ms_) * 1'000'000 + 1;
    events_.push_back(make_event(head, std::move(payload)));
    events_.back().stamp_seq(events_.size());
  }
  void flush_start();

  std::unique_ptr<RunStartedT> started_;
  bool start_flushed_ = false;
  uint64_t now_ms_ = 10;
  uint64_t guest_zero_ms_ = ~0ull;
  uint64_t sample_index_ = 0;
  std::vector<EventBuffer> events_;
};

inline Judgement verdict(SyntheticRun& run) { return run.report().judgement; }

}  // namespace ktstr::testing
