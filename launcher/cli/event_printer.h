// Events as lines of text or JSON, those that were asked for.
#pragma once

#include "base/result.h"
#include "launcher/cli/command_line.h"
#include "schemas/envelope.h"

namespace ktstr {

class EventPrinter {
 public:
  // Errors: an event type or a VM that does not exist, with the nearest that does.
  static Result<EventPrinter> make(EventPrintOptions options);
  bool wanted(const EventBuffer& event) const;
  // To stdout, if wanted.
  void print(const EventBuffer& event) const;

 private:
  explicit EventPrinter(EventPrintOptions options) : options_(std::move(options)) {}
  EventPrintOptions options_;
};

}  // namespace ktstr
