// What payloads, steps and the test's body told: what `--- stats ---` prints of them and what the verdict
// looks at. Bounded, whatever the guest says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/line_buffers.h"
#include "schemas/envelope.h"
#include "schemas/workload_generated.h"

namespace ktstr {

struct TestSpecT;

struct PayloadRecord {
  std::string name;
  std::string command;                      // of the last run, as one line
  uint64_t started = 0, ended = 0;          // a step may run it several times
  std::optional<PayloadExitedT> first_bad;  // the first end that is to blame
  std::optional<PayloadExitedT> last;
  uint64_t lines = 0;
  TailBuffer tail{20};
};

struct FailedOp {
  uint32_t step = 0, index = 0;
  std::string op, error;
};

class ScenarioRecord {
 public:
  // `spec` says which exit code is good; null: 0.
  void fold(const EventBuffer& event, const TestSpecT* spec);

  const std::vector<PayloadRecord>& payloads() const { return payloads_; }
  const PayloadRecord* find(const std::string& payload) const;
  uint64_t ops() const { return ops_; }
  const std::vector<FailedOp>& failed_ops() const { return failed_ops_; }
  // Those that did not pass, and the first that did; how many of each there were in all.
  const std::vector<CheckReportedT>& checks() const { return checks_; }
  uint64_t checks_in_all() const { return checks_seen_; }
  // The body has stated its result as a whole: a check without a name.
  bool has_result() const { return has_result_; }

  static constexpr size_t kMaxPayloads = 128, kMaxOps = 128, kMaxChecks = 1000, kMaxPassed = 100;

 private:
  PayloadRecord* of(std::string_view name);

  std::vector<PayloadRecord> payloads_;
  std::vector<FailedOp> failed_ops_;
  std::vector<CheckReportedT> checks_;
  uint64_t ops_ = 0, checks_seen_ = 0, passed_kept_ = 0;
  bool has_result_ = false;
};

// "exit code 3", "killed by SIGSEGV", "did not end within 2.0 s and was killed", "ended with the workload".
std::string payload_end_text(const PayloadExitedT& exit);
// An end that fails the test: a wrong exit code, a signal, a time-out, all unasked for.
bool payload_is_to_blame(const PayloadExitedT& exit, const TestSpecT* spec);

}  // namespace ktstr
