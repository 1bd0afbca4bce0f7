#include "explain/explanation.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "explain/explanation_parts.h"
#include "scx/crash_frames.h"
#include "scx/trace_frame.h"

namespace ktstr {

void put_frames(const std::vector<std::unique_ptr<ChainFrameT>>& frames, Explanation& out) {
  for (const auto& frame : frames) out.frames.push_back(*frame);
}

bool certain_with(const std::vector<ChainFrameT>& frames, std::string_view prefix) {
  return std::any_of(frames.begin(), frames.end(), [&](const ChainFrameT& f) {
    return !f.uncertain && base_function(f.function).starts_with(prefix);
  });
}

std::string_view scheduler_family(std::string_view ops) {
  for (size_t at = ops.find('_'); at != ops.npos; at = ops.find('_', at + 1))
    if (at + 1 < ops.size() && is_digit(ops[at + 1])) return ops.substr(0, at);
  return ops;
}

Explanation explain(const Incident& incident) {
  Explanation out;
  out.kernel = incident.kernel;
  out.when = incident.when;
  out.text_line = incident.line;
  out.dump = incident.dump;
  switch (incident.kind) {
    case IncidentKind::kExit:
      explain_exit(incident, out);
      break;
    case IncidentKind::kFault:
      explain_fault(incident, out);
      break;
    case IncidentKind::kProcess:
      explain_process(incident, out);
      break;
    case IncidentKind::kHeader:
      explain_header(incident, out);
      break;
  }
  return out;
}

Explanation explain(const KernelFaultT& fault, const KernelFaultT* interrupted) {
  Incident incident;
  incident.kind = IncidentKind::kFault;
  incident.kernel = fault.kernel;
  incident.fault = fault;
  if (interrupted) incident.interrupted = *interrupted;
  return explain(incident);
}

Explanation explain(const LoadFailure& load) {
  Explanation out;
  explain_load(load, out);
  return out;
}

void order_explanations(std::vector<Explanation>& crashes) {
  auto printing = [](const Explanation& e) { return e.cls.ends_with("/printing"); };
  auto knows = [](const Explanation& e) { return e.cls.starts_with("stall/"); };
  std::stable_sort(crashes.begin(), crashes.end(),
                   [](const Explanation& a, const Explanation& b) { return a.text_line < b.text_line; });
  // What fell while it printed another message comes before that message.
  for (size_t i = 1; i < crashes.size(); ++i)
    if (printing(crashes[i]) && !printing(crashes[i - 1])) std::swap(crashes[i], crashes[i - 1]);
  // Of the stalls of one scheduler the best known one leads.
  for (size_t i = 0; i < crashes.size(); ++i) {
    if (crashes[i].cls != "stall") continue;
    for (size_t k = i + 1; k < crashes.size(); ++k)
      if (knows(crashes[k]) && crashes[k].ops == crashes[i].ops) {
        std::rotate(crashes.begin() + static_cast<ptrdiff_t>(i), crashes.begin() + static_cast<ptrdiff_t>(k),
                    crashes.begin() + static_cast<ptrdiff_t>(k) + 1);
        break;
      }
    break;
  }
}

}  // namespace ktstr
