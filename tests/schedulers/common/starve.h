// The mistakes of scx_starve, for both of its halves.
#pragma once

enum starve_fault {
  STARVE_FOREIGN_DSQ = 1,     // a task bound to one CPU waits in a DSQ that only another CPU takes from
  STARVE_UNSERVED_DSQ = 2,    // a third of the tasks waits in a DSQ that dispatch never looks at
  STARVE_NO_KICK = 3,         // tasks wait in the DSQ of a CPU that idles and is not kicked
  STARVE_IN_MAP = 4,          // tasks are noted in a map and never taken out
  STARVE_EMPTY_DISPATCH = 5,  // dispatch waits for a batch that never fills
  STARVE_ORDER = 6,           // in a vtime DSQ others always come first
  STARVE_TIMER = 7,           // dispatch lives on credits of a BPF timer that stops
  STARVE_LOCAL = 8,           // tasks stay in the local DSQ of a CPU that a real-time task has taken
  STARVE_KWORKERS =
      9,             // kworkers, the watchdog's too, wait in a DSQ that is served when 64 of them are there
  STARVE_SLOW = 10,  // dispatch looks through a large table each time
  STARVE_ENDLESS = 11,     // slices that never end: who has a CPU keeps it
  STARVE_FULL_LOCAL = 12,  // all tasks go to CPU 0's local DSQ: the scheduler is never asked there again
};
