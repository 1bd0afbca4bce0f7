#include "reporter/repro_words.h"

#include <fmt/format.h>

namespace ktstr {
namespace {

// Logs before DecodedCall.is_static hold this in `retval`.
constexpr std::string_view kOldCaveat = " (where";

std::string reason_words(const DecodedCallT& call) {
  switch (call.reason) {
    case CallReason::Unstated:
      return call.note;
    case CallReason::NoTrigger:
      return "last call seen; the scheduler was not disabled";
    case CallReason::EarlierJourney:
      return "from an earlier call chain of the triggering task";
    case CallReason::OffPathSameTask:
      return "not on the path of this crash; last call by the triggering task";
    case CallReason::OffPathAnyTask:
      return "not on the path of this crash; last call by any task";
    case CallReason::NotKept:
      return "the call of the triggering task was not kept; last call by any task";
    case CallReason::StuckTask:
      return "last call about the stuck task";
    case CallReason::NeverForStuckTask:
      return "never called for the stuck task; last call for any task";
    case CallReason::LastCall:
      return "last call";
    case CallReason::AttachFailed:
      return "not probed: " + call.reason_detail;
    case CallReason::NotAttached:
      return "not probed";
    case CallReason::ProbesNotPlaced:
      return "not probed: the probes were never placed";
    case CallReason::NeverCalled:
      return "never called before the crash";
  }
  return call.note;  // of a newer reproer
}

}  // namespace

std::string call_note(const DecodedCallT& call) {
  std::string out = reason_words(call);
  if (call.shifted)
    out += fmt::format(
        "{}a pointer does not look like one: the compiler may have dropped a parameter of this "
        "static function",
        out.empty() ? "" : "; ");
  return out;
}

std::string entry_words(const DecodedValueT& value) {
  if (value.same_fields == 0) return value.entry;
  return fmt::format("{} ({} {} as in {})", value.entry, value.same_fields,
                     value.same_fields == 1 ? "field" : "fields", value.same_as);
}

std::string return_words(const DecodedCallT& call) {
  if (call.retval.empty() || !call.is_static) return call.retval;
  return call.retval + " (where its caller uses it: a static function)";
}

std::string return_value(const DecodedCallT& call) {
  return call.retval.substr(0, call.retval.find(kOldCaveat));
}

}  // namespace ktstr
