#include "scx/bpf_place.h"

#include <algorithm>

namespace ktstr {

bool place_frame(const BpfProgramT& program, const BpfFunctionT& function, uint64_t address,
                 ChainFrameT& frame) {
  const auto& lines = program.lines;
  auto in_function = [&](const auto& line) { return line->jited_addr >= function.address; };
  // A return address: the call is before it.
  auto after = std::partition_point(lines.begin(), lines.end(),
                                    [&](const auto& line) { return line->jited_addr < address; });
  if (after == lines.begin() || !in_function(*std::prev(after))) return false;
  auto at = std::prev(after);
  frame.file = (*at)->file;
  frame.line = (*at)->line;
  frame.text = (*at)->text;
  auto first =
      std::partition_point(lines.begin(), lines.end(), [&](const auto& l) { return !in_function(l); });
  const std::string& own = (*first)->file;  // a program's first line is that of its head
  if (own == frame.file || own.empty()) return true;
  frame.own_file = own;
  while (at != first && (*at)->file != own) --at;
  if ((*at)->file == own && at != first) {
    frame.own_line = (*at)->line;
    frame.own_text = (*at)->text;
  }
  return true;
}

ChainFrameT frame_at(const std::vector<BpfProgramT>& programs, uint64_t address) {
  ChainFrameT frame;
  for (const BpfProgramT& program : programs)
    for (const auto& function : program.functions) {
      if (address <= function->address || address > function->address + function->size) continue;
      frame.function = function->name;
      frame.tag = program.tag;
      frame.offset = static_cast<uint32_t>(address - function->address);
      frame.size = function->size;
      place_frame(program, *function, address, frame);
      return frame;
    }
  return frame;
}

}  // namespace ktstr
