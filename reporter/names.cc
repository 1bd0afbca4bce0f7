#include "reporter/names.h"

#include <fmt/format.h>
#include <string.h>

namespace ktstr {

std::string signal_name(int signo) {
  const char* name = ::sigabbrev_np(signo);
  return name ? std::string("SIG") + name : fmt::format("signal {}", signo);
}

}  // namespace ktstr
