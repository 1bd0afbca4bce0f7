// Descriptors 0, 1 and 2 of a process.
#pragma once

#include "base/result.h"

namespace ktstr {

// Opens /dev/null in the place of each of 0, 1 and 2 that is closed: else the process's next socket or file takes the number,
// and what is printed goes into it. The first call of every main(). Where even /dev/null does not open, the process ends
// with code 3 (infrastructure).
void secure_standard_fds();

// Flushes and closes stdout: an error that any earlier print met, or that the close meets (a full disk, a full quota). The last
// call of a program that prints what it was asked for.
Status close_stdout();

}  // namespace ktstr
