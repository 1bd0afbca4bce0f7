// What the messages mean with which sched_ext aborts a scheduler: who did what to whom, and which errno a number is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schemas/crash_generated.h"

namespace ktstr {

// -12 as 12: "ENOMEM, Cannot allocate memory"; empty: no errno.
std::string errno_words(int error);

// What the numbers in a message mean: " [-12 is ENOMEM, …]"; also an errno that was taken for an id. Empty: nothing.
std::string number_note(std::string_view message);

// The digits behind `key`; empty: `key` is not there.
std::string_view number_at(std::string_view message, std::string_view key);

struct ErrorWords {
  std::string text;  // what the kernel's sentence means
  std::string task;  // whom it is about
};
// The sentences in which sched_ext says that a dispatch or a kfunc call was wrong, in words that name the culprit.
ErrorWords kernel_error(std::string_view message, const std::vector<ChainFrameT>& frames);

// What usually mends such an error; empty: nothing is known.
std::string error_advice(std::string_view message);

}  // namespace ktstr
