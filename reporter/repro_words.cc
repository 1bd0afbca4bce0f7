#include "reporter/repro_words.h"

#include <fmt/format.h>

#include "scx/vocabulary.h"

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

// Why a repro VM without a crash counts as it does.
std::string no_crash_words(const ReproFinishedT& repro) {
  const std::string where = "last stage: " + stage_name(repro.last_stage);
  if (!repro.init_error.empty()) return "the repro VM's init gave up: " + repro.init_error;
  if (!repro.reached_workload) return "the repro VM never reached its workload; " + where;
  return "the repro VM ended early, no crash was seen; " + where;
}

std::string status_words(const ReproFinishedT& repro) {
  constexpr std::string_view kEmulator = " crash looks like a fault of the emulator, not of the scheduler: ";
  switch (repro.status) {
    case ReproStatus::SameSignature:
      return "the repro VM ended in the same way";
    case ReproStatus::DifferentCrash:
      return "the repro VM failed in another way";
    case ReproStatus::NotReproduced: {
      std::string out = "the same workload ran to its end under probes, and nothing crashed";
      if (!repro.primary_artefact.empty())
        out += fmt::format("; the primary VM's{}{}", kEmulator, repro.primary_artefact);
      return out;
    }
    case ReproStatus::EmulatorArtefact:
      return fmt::format("the repro VM's{}{}", kEmulator, repro.artefact);
    case ReproStatus::PrimaryDidNotReachWorkload:
      return "the primary VM never reached its workload (last stage: " + stage_name(repro.last_stage) +
             "): there is no crash under load to repeat";
    case ReproStatus::VmFailed:
      return no_crash_words(repro);
    case ReproStatus::NotAttempted:
      return "";
  }
  return "";
}

// "7.3" of "7.3.4+deb13-cloud-amd64".
std::string series(const std::string& release) {
  const size_t first = release.find('.');
  return first == std::string::npos ? release
                                    : release.substr(0, release.find_first_not_of("0123456789", first + 1));
}

}  // namespace

const char* repro_status_name(ReproStatus status) {
  switch (status) {
    case ReproStatus::SameSignature:
      return "same signature";
    case ReproStatus::DifferentCrash:
      return "different crash";
    case ReproStatus::NotReproduced:
      return "not reproduced";
    case ReproStatus::EmulatorArtefact:
      return "emulator artifact";
    case ReproStatus::PrimaryDidNotReachWorkload:
      return "PRIMARY DID NOT REACH WORKLOAD";
    case ReproStatus::VmFailed:
      return "repro VM failed";
    case ReproStatus::NotAttempted:
      return "not attempted";
  }
  return "UNKNOWN";
}

std::string decline_words(const ReproDeclinedT& declined) {
  switch (declined.cause) {
    case DeclineCause::Unstated:
      return declined.reason;
    case DeclineCause::SpecUnknown:
      return "the run's test spec is not known";
    case DeclineCause::NoCrash:
      return "no crash to reproduce";
    case DeclineCause::SwitchedOff:
      return "auto_repro is off for this test";
    case DeclineCause::ExpectedCrash:
      return "the crash is the one that the test expects (expect_err)";
    case DeclineCause::NoScheduler:
      return "no scheduler of the test's own: there is nothing to probe";
  }
  return declined.reason;
}

std::string outcome_words(const ReproFinishedT& repro) {
  // A log from before the data fields; a repro that no VM ran for has none of the others either.
  if (!repro.detail.empty()) return repro.detail;
  std::string out = status_words(repro);
  if (repro.hit_source == HitSource::GuestMemory)
    out += "; the guest died before it sent its hits; they were read from its memory";
  if (repro.times_from_last_hit) out += " (times count from the last hit)";
  if (repro.artefact_retries)
    out += fmt::format(" ({} {} not counted: emulator artifact)", repro.artefact_retries,
                       repro.artefact_retries == 1 ? "attempt" : "attempts");
  if (repro.status == ReproStatus::VmFailed) return out;
  if (repro.hit_source == HitSource::NotHit) out += "; no probe was hit";
  if (repro.hit_source == HitSource::Lost)
    out +=
        "; the probes reported nothing: the guest died before it could report, and its memory holds no hit";
  return out;
}

std::string hint_words(const ReproFinishedT& repro, const KernelInfoT* kernel) {
  if (repro.hit_source == HitSource::Unstated || !kernel || !kernel->debuginfo.empty()) return repro.hint;
  return "source lines of kernel functions need debug info: ktstr-launch kernel fetch " +
         series(kernel->release) + " --debuginfo";
}

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
