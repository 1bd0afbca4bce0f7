#include "explain/record_prefix.h"

#include "explain/line_cursor.h"

namespace ktstr {
namespace {

constexpr size_t kMostFlags = 64;  // bytes between the stamp and the ';' before the text

// From the level on: "4,123,700000001,-;text".
bool kmsg(std::string_view line, LineCursor c, TextLine& out) {
  uint64_t us = 0;
  if (!c.digits(1, 4) || !c.take(',') || !c.digits(1, 12) || !c.take(',')) return false;
  const size_t stamp = c.at();
  if (!c.digits(1, 16, &us)) return false;
  const size_t stamp_end = c.at();
  if (!c.take(',')) return false;
  const size_t end = line.find(';', c.at());
  if (end == std::string_view::npos || end >= c.at() + kMostFlags) return false;
  out.monotonic_ns = us * 1000;
  out.set_when(line.substr(stamp, stamp_end - stamp), us + 1);
  out.origin = Origin::kKernel;
  out.text = line.substr(end + 1);
  return true;
}

// A release may stand before: "7.0.3-arch1,4,123,700000001,-;text".
bool netconsole(std::string_view line, TextLine& out) {
  const size_t comma = line.substr(0, 64).find(',');
  if (comma == std::string_view::npos) return false;
  const std::string_view release = line.substr(0, comma);
  if (release.find('.') == release.npos || release.find(' ') != release.npos) return false;
  LineCursor c(line);
  c.skip(comma + 1);
  return kmsg(line, c, out);
}

// Less its "<4>": "1 2026-03-04T22:57:02.000Z host app procid msgid - text"
bool rfc5424(std::string_view line, TextLine& out) {
  LineCursor c(line);
  uint64_t us = 0;
  if (!c.take('1') || !c.take(' ') || !take_iso(c, us) || c.peek() != ' ') return false;
  std::string_view rest = c.rest();
  std::string_view fields[5];  // host, app, procid, msgid, structured data
  for (std::string_view& field : fields) {
    if (!rest.starts_with(" ")) return false;
    rest.remove_prefix(1);
    const size_t close = rest.starts_with("[") ? rest.find(']') : std::string_view::npos;
    field = rest.substr(0, close == std::string_view::npos ? rest.find(' ') : close + 1);
    rest.remove_prefix(field.size());
  }
  out.set_when(line.substr(2, c.at() - 2), us);
  out.process = fields[1];
  out.origin = fields[1] == "kernel" ? Origin::kKernel : Origin::kProcess;
  out.text = rest.starts_with(" ") ? rest.substr(1) : rest;
  return true;
}

// "03-04 22:57:02.000     0     0 W tag: text"
bool logcat(std::string_view line, TextLine& out) {
  LineCursor c(line);
  uint64_t month = 0, day = 0, us = 0;
  if (!c.digits(2, 2, &month) || !c.take('-') || !c.digits(2, 2, &day) || !c.take(' ') || !take_time(c, us))
    return false;
  const size_t stamp_end = c.at();
  for (int id = 0; id < 2; ++id) {  // process, thread
    c.blanks();
    if (!c.digits(1, 7)) return false;
  }
  c.blanks();
  const size_t colon = line.find(':', c.at());
  if (std::string_view("VDIWEF").find(c.peek()) == std::string_view::npos ||
      colon == std::string_view::npos || colon > c.at() + 40)
    return false;
  out.set_when(line.substr(0, stamp_end), (month * 31 + day) * 86'400'000'000 + us);
  out.text = line.substr(colon + 1);
  if (out.text.starts_with(" ")) out.text.remove_prefix(1);
  return true;
}

}  // namespace

bool record_prefix(std::string_view line, TextLine& out) {
  return kmsg(line, LineCursor(line), out) || netconsole(line, out) || rfc5424(line, out) ||
         logcat(line, out);
}

}  // namespace ktstr
