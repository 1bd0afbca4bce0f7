#include "launcher/run/progress.h"

#include "base/text.h"
#include "schemas/guest_generated.h"

namespace ktstr {

void Progress::step(const std::string& text) {
  if (quiet_ || text == last_) return;
  last_ = text;
  std::string safe = printable(text);
  if (terminal_) {
    std::fprintf(out_, "\r\x1b[K%.*s", 100, safe.c_str());
    drawn_ = true;
  } else {
    std::fprintf(out_, "%s\n", safe.c_str());
  }
  std::fflush(out_);
}

void Progress::say(const std::string& text) {
  clear();
  std::fprintf(out_, "%s\n", printable(text).c_str());
  std::fflush(out_);
}

void Progress::clear() {
  if (drawn_) std::fprintf(out_, "\r\x1b[K");
  drawn_ = false;
  std::fflush(out_);
}

const char* stage_text(Stage stage) {
  switch (stage) {
    case Stage::NotStarted:
      return "QEMU started";
    case Stage::KernelStarted:
      return "kernel started";
    case Stage::InitStarted:
      return "init started";
    case Stage::PlanRead:
      return "plan read";
    case Stage::SchedulerStarted:
      return "scheduler started";
    case Stage::ProgramsSeen:
      return "scheduler's programs recorded";
    case Stage::SchedulerAttached:
      return "scheduler attached";
    case Stage::WorkloadStarted:
      return "workload running";
    case Stage::WorkloadFinished:
      return "workload ended";
    case Stage::GuestFinished:
      return "guest finished";
  }
  return "?";
}

}  // namespace ktstr
