// A subprogram is loaded once into each program that calls it, so a name alone may name several places with
// their own addresses. Frames are walked from the outermost: a subprogram belongs to the program whose frame
// called it.
#include "collector/bpf_line_resolver.h"

#include <algorithm>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "scx/bpf_place.h"

namespace ktstr {
namespace {

constexpr size_t kMaxPrograms = 4096;
constexpr size_t kMaxEntries = 1'000'000;  // lines and functions of all programs
constexpr size_t kKernelNameLength = 15;   // older kernels cut names to it

bool same_name(const std::string& known, const std::string& seen) {
  return known == seen || (seen.size() == kKernelNameLength && known.starts_with(seen)) ||
         (known.size() == kKernelNameLength && seen.starts_with(known));
}

}  // namespace

void BpfLineResolver::add(const BpfProgram& program) {
  const size_t entries = size_t{program.lines() ? program.lines()->size() : 0} +
                         (program.functions() ? program.functions()->size() : 0);
  if (programs_.size() >= kMaxPrograms || entries > kMaxEntries - entries_) return;
  entries_ += entries;
  programs_.emplace_back(program.UnPack());
}

BpfLineResolver::Place BpfLineResolver::find(const ChainFrameT& frame, const BpfProgramT* caller) const {
  Place best;
  int best_score = 0;
  for (const auto& program : programs_) {
    for (size_t i = 0; i < program->functions.size(); ++i) {
      const BpfFunctionT& f = *program->functions[i];
      if (!same_name(f.name, frame.function)) continue;
      int score = 1;
      if (i == 0 && program->tag == frame.tag) score += 4;
      if (i != 0 && program.get() == caller) score += 4;
      if (f.size != 0 && f.size == frame.size) score += 2;
      if (score > best_score) {
        best_score = score;
        best = {program.get(), &f};
      }
    }
  }
  return best;
}

void BpfLineResolver::resolve(std::vector<ChainFrameT>& backtrace) const {
  const BpfProgramT* caller = nullptr;
  for (auto frame = backtrace.rbegin(); frame != backtrace.rend(); ++frame) {
    if (frame->tag.empty()) continue;
    const Place place = find(*frame, caller);
    if (!place.program) continue;
    caller = place.program;
    place_frame(*place.program, *place.function, place.function->address + frame->offset, *frame);
  }
}

}  // namespace ktstr
