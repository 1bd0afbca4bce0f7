#include "collector/crash_detector.h"

#include <memory>
#include <utility>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {
namespace {

void keep_crash(ReadFault read, std::vector<ReadFault>& faults) {
  if (crash_kind(read.fault.kind) && faults.size() < CrashDetector::kMaxFaults)
    faults.push_back(std::move(read));
}

}  // namespace

void CrashDetector::on_event(const EventBuffer& event) {
  words_.fold(event);
  if (auto* console = event.as<ConsoleLine>()) {
    const StampedText line = split_stamp(str(console->text()));
    parser_.feed(line.text, line.guest_ns);
    take_complete();
  } else if (auto* program = event.as<BpfProgram>()) {
    lines_.add(*program);
  } else if (auto* attached = event.as<SchedulerAttached>()) {
    ops_name_ = str(attached->ops_name());
  }
}

std::optional<CrashDetectedT> CrashDetector::result() const {
  KernelFaultParser rest = parser_;  // the console may end in the middle of a fault
  rest.finish();
  std::vector<ReadFault> faults = faults_;
  while (auto read = rest.take()) keep_crash(std::move(*read), faults);
  auto exit = scheduler_exit();
  for (const ReadFault& read : faults) {
    const bool after = exit && exit_before(read.guest_ns);
    // The kernel answers a lockup by aborting the scheduler: then the exit tells more.
    if (exit && (after || crash_kind(read.fault.kind) == CrashKind::Lockup)) continue;
    return kernel_fault(read, after);
  }
  return exit;
}

void CrashDetector::take_complete() {
  while (auto read = parser_.take()) {
    if (told_ < kMaxTold) {
      ++told_;
      untold_.push_back(*read);
      KernelFaultT& fault = untold_.back().fault;
      if (fault.ops_name.empty()) fault.ops_name = ops_name_;
    }
    keep_crash(std::move(*read), faults_);
  }
}

std::vector<ReadFault> CrashDetector::take_faults(bool at_end) {
  if (at_end) parser_.finish();
  take_complete();
  return std::exchange(untold_, {});
}

std::optional<CrashDetectedT> CrashDetector::scheduler_exit() const {
  auto error = words_.error();
  if (!error) return std::nullopt;
  lines_.resolve(error->exit.backtrace);
  CrashDetectedT crash = to_crash(std::move(*error));
  if (crash.ops_name.empty()) crash.ops_name = ops_name_;
  return crash;
}

CrashDetectedT CrashDetector::kernel_fault(const ReadFault& read, bool after_exit) const {
  CrashDetectedT crash = to_crash(read.fault);
  crash.ops_name = ops_name_;
  crash.artefact = emulator_artefact(read.fault, accelerator_, after_exit);
  std::vector<ChainFrameT> backtrace;
  for (const auto& frame : read.fault.backtrace) backtrace.push_back(*frame);
  lines_.resolve(backtrace);
  crash.backtrace.clear();
  for (ChainFrameT& frame : backtrace)
    crash.backtrace.push_back(std::make_unique<ChainFrameT>(std::move(frame)));
  return crash;
}

// The dump is taken at once, the console's line follows a second later: either may be missing. Both clocks
// count from boot and differ by milliseconds at most.
bool CrashDetector::exit_before(uint64_t guest_ns) const {
  for (const auto& exit : {words_.dump().exit(), words_.console_exit()}) {
    if (exit && exit->is_error() && exit->guest_ns != 0 && exit->guest_ns <= guest_ns) return true;
  }
  return false;
}

}  // namespace ktstr
