// Prefixes that are a record's fixed fields: /dev/kmsg, netconsole, RFC 5424, logcat.
#pragma once

#include <string_view>

#include "explain/text_line.h"

namespace ktstr {

// Takes the fields off; false: the line is no such record, and `out` is as it was.
bool record_prefix(std::string_view line, TextLine& out);

}  // namespace ktstr
