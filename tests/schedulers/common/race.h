// The races of scx_race, for both of its halves.
#pragma once

enum race_fault {
  RACE_CHECK_THEN_ACT = 1,  // two CPUs take the same free slot
  RACE_LOST_WAKEUP = 2,     // a CPU finds its DSQ empty and drops the note that another has just made for it
  RACE_AFTER_EXIT =
      3,  // a task exits between the moment its pid is read and the moment its context is looked up
};
