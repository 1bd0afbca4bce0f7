// Which lines of a text are worth reading in full.
#pragma once

#include <re2/re2.h>

#include <cstddef>
#include <string_view>

namespace ktstr {

// A line with one of these may belong to a crash; nearly all lines of a log have none.
const RE2& interesting();

// Where a second stamp of the kernel's begins in a line, "[   12.345678]"; npos: nowhere.
size_t next_stamp(std::string_view line);

// What a logger prints in the place of lines that it did not print: it belongs to no message.
bool counts_others(std::string_view text);

}  // namespace ktstr
