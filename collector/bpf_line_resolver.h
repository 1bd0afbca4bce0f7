// Source lines for the BPF frames of a backtrace, from the line info in BpfProgram events.
#pragma once

#include <memory>
#include <vector>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {

class BpfLineResolver {
 public:
  // Above 4096 programs or a million lines and functions in all: left out.
  // REQUIRES: unpacks_within_its_size() of its event.
  void add(const BpfProgram& program);
  // Fills file, line and text of the BPF frames that it knows.
  void resolve(std::vector<ChainFrameT>& backtrace) const;

 private:
  struct Place {
    const BpfProgramT* program = nullptr;
    const BpfFunctionT* function = nullptr;
  };
  Place find(const ChainFrameT& frame, const BpfProgramT* caller) const;

  std::vector<std::unique_ptr<BpfProgramT>> programs_;
  size_t entries_ = 0;
};

}  // namespace ktstr
