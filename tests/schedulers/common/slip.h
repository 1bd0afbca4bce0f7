// The mistakes of scx_slip, for both of its halves.
#pragma once

enum slip_fault {
  SLIP_SAME_DSQ = 1,  // ops.init creates a DSQ twice, in a subprogram, and returns the error
  SLIP_FULL_MAP = 2,  // ops.init_task returns the error of a map that is full
  SLIP_FOREIGN_CPU =
      3,  // a task goes into the local DSQ of a CPU on which it may not run; the kernel finds out later
  SLIP_TWICE = 4,        // a task is inserted twice, through an inline wrapper of a header
  SLIP_MIXED_ORDER = 5,  // one DSQ gets tasks in FIFO order and by vtime
};
