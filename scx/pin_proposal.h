// A pin for a crash that was recorded: which text of it stays the same from run to run, and the proof that
// the pin matches what it should and nothing else. Pure.
//
// The kernel's message is split into words that are the same in every run and parts that vary: numbers, addresses, tasks
// ("comm[pid]"), times. `contains` is the longest piece of constant words; `matches` is the whole message with patterns
// for the parts that vary. Both are proved before they are proposed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "scx/pin_corpus.h"

namespace ktstr {

// What one VM of the log left for a pin.
struct PinEvidence {
  std::optional<CrashDetectedT> crash;
  PinCorpus corpus{true};
  std::string before;  // the scheduler's lines from before the kernel's dump: it was healthy then
  bool attached = false;
  bool died = false;  // its process ended by itself
  bool dumping = false;

  void fold(const EventBuffer& event);
};

struct PinProposal {
  std::string contains;  // empty: the message has no piece that is long enough
  std::string matches;
  std::string title;                // what is pinned: "scx_bpf_error: no such cell 7"
  std::vector<std::string> proofs;  // one sentence each

  // Lines for a [[test]] block, the title and the proofs as comments. Ready to paste.
  std::string toml() const;
};

// Errors (kNotFound, with a hint): no crash, or one whose text is in no corpus. `repro`: the repro VM of
// the same run, for a proof that the text is the same there; may be empty.
Result<PinProposal> propose_pin(const PinEvidence& primary, const PinEvidence& repro);

// The pattern for one message; exposed for its tests. `comms`: tasks known by name, which may hold spaces.
std::string generalize_message(std::string_view message, const std::vector<std::string>& comms,
                               std::vector<std::string>* literals);

}  // namespace ktstr
