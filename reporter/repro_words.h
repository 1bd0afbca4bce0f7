// The words for what ktstr-reproer found. Logs from before the data fields of DecodedValue, DecodedCall,
// ReproDeclined and ReproFinished hold words of their own, which are shown as they are. Named test: repro_words_test.cc.
#pragma once

#include <string>

#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {

const char* repro_status_name(ReproStatus status);  // "same signature"
std::string call_note(
    const DecodedCallT& call);  // which call is shown, or why none is; empty: the crash's own
std::string entry_words(const DecodedValueT& value);  // "0xff00 (3 fields as in do_enqueue_task)"
std::string return_words(const DecodedCallT& call);   // with its caveat; empty: no return seen
std::string return_value(const DecodedCallT& call);   // without it

std::string decline_words(const ReproDeclinedT& declined);
std::string outcome_words(const ReproFinishedT& repro);  // what follows the status; empty: nothing to add
// What would show more; empty: nothing known. `kernel` may be null.
std::string hint_words(const ReproFinishedT& repro, const KernelInfoT* kernel);

}  // namespace ktstr
