// Decides after each VM: boot another one under probes, or say what came of it. Knows no socket: events in,
// at most one answer out.
//
// Every VmSettled gets exactly one answer: ReproRequested (the launcher boots, and settles again),
// ReproDeclined or ReproFinished. Thread rule: none, one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "bpf/kernel_sources.h"
#include "reproer/chain.h"
#include "reproer/repro_verdict.h"
#include "reproer/vm_facts.h"
#include "schemas/common_generated.h"
#include "schemas/envelope.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "scx/error_pin.h"
#include "scx/pin_corpus.h"

namespace ktstr {

// What the host knows of the kernel under test. Either part may be missing.
struct KernelKnowledge {
  std::optional<BtfView> types;
  std::string types_missing;  // why there are none
  std::function<SourcePlace(const std::string& function, uint32_t offset)> source;
};
using LoadKernel = std::function<KernelKnowledge(const KernelInfoT&)>;

class Reproer {
 public:
  using Answer = std::variant<ReproRequestedT, ReproDeclinedT, ReproFinishedT>;

  // `load` is called once, at the first sign of a crash: the VM still ends meanwhile.
  explicit Reproer(LoadKernel load) : load_(std::move(load)) {}

  std::optional<Answer> on_event(const EventBuffer& event);

  // The plan of a repro VM that ended before it reported its hits: its memory may still hold them. Called before its
  // VmSettled is given to on_event(). Null: it reported them.
  const ProbePlanT* untold() const { return attempt_ > 0 && !repro_.finished ? &plan_ : nullptr; }
  // The hits from the memory, in the form of the events that the guest would have sent.
  void on_rings(std::vector<ProbeHitT> hits, std::optional<ProbeTriggeredT> trigger);

 private:
  bool expected_crash() const;
  Answer on_primary_settled();
  Answer on_repro_settled();
  Answer request();
  ReproFinishedT finish();
  void take(const TryVerdict& verdict);
  std::optional<ProbeTriggeredT> end_of_fault() const;

  const KernelKnowledge& kernel();

  LoadKernel load_;
  std::optional<KernelKnowledge> kernel_;
  RunStartedT run_;
  std::optional<ErrorPin> pin_;  // of an expect_err test
  PinCorpus corpus_;             // the primary's, for the pin
  VmFacts primary_;
  VmFacts repro_;             // of the current attempt
  bool from_memory_ = false;  // its hits were read out of the dead guest's memory
  uint8_t attempt_ = 0;       // 1-based; 0: none asked for
  uint32_t retries_ = 0;      // attempts not counted because of an emulator artifact
  uint32_t tries_ = 0, same_ = 0;
  ProbePlanT plan_;
  std::optional<TryVerdict> best_;
  ReproFinishedT shown_;  // calls and counts of the best try
};

}  // namespace ktstr
