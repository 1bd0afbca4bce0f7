#include "scx/pin_corpus.h"

#include "schemas/guest_generated.h"

namespace ktstr {

void PinCorpus::fold(const EventBuffer& event) {
  if (!wanted_) return;
  if (auto* line = event.as<SchedulerLine>()) add(log_, str(line->text()));
  if (auto* line = event.as<DumpLine>()) add(dump_, str(line->text()));
}

void PinCorpus::add(Part& to, std::string_view line) {
  if (log_.text.size() + dump_.text.size() + line.size() + 1 > max_bytes_) {
    cut_ = true;
    return;
  }
  if (to.any) to.text += '\n';
  to.text += line;
  to.any = true;
}

std::string PinCorpus::text() const {
  if (!log_.any || !dump_.any) return log_.text + dump_.text;
  return log_.text + "\n" + dump_.text;
}

}  // namespace ktstr
