// Names that people read, for numbers of the operating system; those of sched_ext: scx/vocabulary.h.
#pragma once

#include <string>

namespace ktstr {

std::string signal_name(int signo);  // "SIGSEGV"

}  // namespace ktstr
