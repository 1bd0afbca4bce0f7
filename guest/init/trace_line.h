// One line of trace_pipe that carries a sched_ext_dump record.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ktstr::guest {

struct TraceLine {
  std::string_view comm;  // who ran the dump; views into the parsed line
  int pid = 0;
  int cpu = -1;
  uint64_t ns = 0;        // trace clock
  std::string_view text;  // after "sched_ext_dump: "
};

// "      init-218     [001] d.H3.     9.638319: sched_ext_dump: init[218] triggered …". nullopt: another
// line.
std::optional<TraceLine> parse_trace_line(std::string_view line);

}  // namespace ktstr::guest
