// Text that came from outside: made safe to print, cut to size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ktstr {

// Without terminal escapes (CSI, OSC, …) and control characters; a tab stays; bytes that are not UTF-8 become '?'.
std::string printable(std::string_view text);

// "1.500 s", "12.3 ms", "450 us", "80 ns": three or so digits, for people.
std::string human_ns(uint64_t ns);

// CPU list as the kernel writes it: "0-3,5". Input need not be sorted; duplicates are folded.
std::string cpu_list(std::vector<unsigned> cpus);

}  // namespace ktstr
