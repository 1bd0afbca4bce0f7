// The texts of one VM as far as a report may print them: console, scheduler log, sched_ext dump. Bounded.
#pragma once

#include "reporter/scheduler_log.h"
#include "schemas/envelope.h"

namespace ktstr {

struct TextRecord {
  // `primary`: its texts are kept whole where they fit, of a repro VM only the tails. `verbose`: the whole console.
  TextRecord(bool primary, bool verbose);

  void fold(const EventBuffer& event);
  // No event follows.
  void finish();

  TailBuffer console_tail;
  HeadTail console;  // verbose only
  uint64_t console_lines = 0;
  SchedulerLog scheduler_log;
  HeadTail dump;  // as the report prints it

 private:
  HeadTail whole_dump_;  // of a repro VM, to find its copy in the scheduler's log
  bool primary_, verbose_;
};

}  // namespace ktstr
