// The words for what ktstr-reproer found. Logs from before the data fields of DecodedValue and DecodedCall hold
// words of their own, which are shown as they are. Named test: repro_words_test.cc.
#pragma once

#include <string>

#include "schemas/repro_generated.h"

namespace ktstr {

std::string call_note(
    const DecodedCallT& call);  // which call is shown, or why none is; empty: the crash's own
std::string entry_words(const DecodedValueT& value);  // "0xff00 (3 fields as in do_enqueue_task)"
std::string return_words(const DecodedCallT& call);   // with its caveat; empty: no return seen
std::string return_value(const DecodedCallT& call);   // without it

}  // namespace ktstr
