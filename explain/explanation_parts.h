// The parts of explain(): one file for each kind of incident. For the room explain/ and those who word the same errors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "explain/explanation.h"
#include "explain/incident.h"

namespace ktstr {

void explain_exit(const Incident& in, Explanation& out);       // explanation_exit.cc
void explain_fault(const Incident& in, Explanation& out);      // explanation_fault.cc
void explain_load(const LoadFailure& load, Explanation& out);  // explanation_load.cc
void explain_process(const Incident& in, Explanation& out);    // explanation_process.cc
void explain_header(const Incident& in, Explanation& out);     // explanation_process.cc

inline std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }
inline bool mentions(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}
void put_frames(const std::vector<std::unique_ptr<ChainFrameT>>& frames, Explanation& out);
// A frame that is certainly there, of a function whose name begins so.
bool certain_with(const std::vector<ChainFrameT>& frames, std::string_view prefix);

}  // namespace ktstr
