// One run, folded from its events in the order of seq: all that the report and the verdict are made of. Reads
// no clock, no environment, no file. Memory does not grow with the number of events, but for what the report
// prints and, when the test pins its error's text, for the text that the pin must see (up to
// PinCorpus::kMaxBytes).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "reporter/client_notes.h"
#include "reporter/guest_order.h"
#include "reporter/metrics_record.h"
#include "reporter/vm_record.h"
#include "schemas/normalised_stream.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "scx/pin_corpus.h"

namespace ktstr {

struct TestSpecT;

class RunModel {
 public:
  RunModel();
  ~RunModel();

  // Returns true when the event was the last one that counts (FactsCompleted): what follows is ignored.
  bool fold(const EventBuffer& event);
  // The log goes on, but no further event is wanted (--until).
  void stop_here() { stopped_here_ = true; }
  bool stopped_here() const { return stopped_here_; }
  // No event follows. Called once, before a report is made; also when FactsCompleted never came.
  void finish();

  bool started() const { return run_.has_value(); }
  // REQUIRES: started().
  const RunStartedT& run() const { return *run_; }
  const TestSpecT& spec() const { return *run_->spec; }
  std::string switch_value(std::string_view name) const;  // RunStarted.environment; "" when not set
  bool backtrace() const;                                 // RUST_BACKTRACE=1|full
  bool verbose() const;                                   // KTSTR_VERBOSE=1, or backtrace()

  bool complete() const { return complete_; }
  const std::string& completion_note() const { return completion_note_; }
  std::optional<int> interrupted() const { return interrupted_; }
  const std::optional<std::string>& skipped() const { return skipped_; }  // it was not run on this host: why
  const VmRecord& primary() const { return *primary_; }
  const VmRecord* repro() const { return repro_.get(); }  // the last try's VM; null: none was started
  const std::vector<HelperExitedT>& lost_helpers() const { return lost_helpers_; }

  const ClientNotes& clients() const { return clients_; }
  const MetricsRecord& metrics() const { return metrics_; }

  bool repro_requested() const { return repro_requested_; }
  const std::optional<std::string>& repro_declined() const { return repro_declined_; }
  const std::optional<ReproFinishedT>& repro_finished() const { return repro_finished_; }
  const std::optional<ProbeAttachedT>& probes() const { return probes_; }  // of the last try
  const std::optional<ProbeFinishedT>& probes_finished() const { return probes_finished_; }

  const std::optional<SignatureKnownT>& known() const { return known_; }

  const PinCorpus& corpus() const { return corpus_; }
  // Of a deterministic run: SHA-256 of its normalised stream, once finish() was called. Else empty.
  const std::string& stream_hash() const { return stream_hash_; }
  uint64_t events() const { return events_; }
  uint64_t last_seq() const { return last_seq_; }
  uint64_t missing_events() const { return missing_events_; }  // gaps in seq

 private:
  void start(const RunStarted& started);
  bool fold_in_order(const EventBuffer& event);
  void fold_held();
  VmRecord& record_for(const EventBuffer& event);

  std::optional<RunStartedT> run_;
  std::unique_ptr<VmRecord> primary_, repro_;
  bool complete_ = false, stopped_here_ = false;
  std::string completion_note_;
  std::optional<int> interrupted_;
  std::optional<std::string> skipped_;
  std::vector<HelperExitedT> lost_helpers_;
  ClientNotes clients_;
  MetricsRecord metrics_;
  bool repro_requested_ = false;
  std::optional<std::string> repro_declined_;
  std::optional<ReproFinishedT> repro_finished_;
  std::optional<ProbeAttachedT> probes_;
  std::optional<ProbeFinishedT> probes_finished_;
  std::optional<SignatureKnownT> known_;
  PinCorpus corpus_;
  // Of a deterministic run.
  std::unique_ptr<GuestOrder> order_;
  NormalisedStream stream_;
  std::string stream_hash_;
  uint64_t events_ = 0, last_seq_ = 0, missing_events_ = 0;
};

}  // namespace ktstr
