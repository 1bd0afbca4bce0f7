// Read from the right: only comm, at the far left, may hold anything (blanks, dashes, brackets).
#include "guest/init/trace_line.h"

#include "base/numbers.h"

namespace ktstr::guest {
namespace {

constexpr std::string_view kEvent = ": sched_ext_dump:";

// Cuts the last blank-separated word off `rest`.
std::string_view last_word(std::string_view& rest) {
  const size_t end = rest.find_last_not_of(' ');
  if (end == std::string_view::npos) return rest = {};
  const size_t before = rest.find_last_of(' ', end);
  const size_t begin = before == std::string_view::npos ? 0 : before + 1;
  std::string_view word = rest.substr(begin, end - begin + 1);
  rest = rest.substr(0, begin);
  return word;
}

std::optional<uint64_t> parse_stamp(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos || text.size() != dot + 7) return std::nullopt;
  const auto seconds = parse_number(text.substr(0, dot)), micros = parse_number(text.substr(dot + 1));
  if (!seconds || !micros) return std::nullopt;
  return *seconds * 1'000'000'000 + *micros * 1000;
}

}  // namespace

std::optional<TraceLine> parse_trace_line(std::string_view line) {
  const size_t at = line.find(kEvent);
  if (at == std::string_view::npos) return std::nullopt;
  TraceLine out;
  out.text = line.substr(at + kEvent.size());
  if (!out.text.empty() && out.text.front() == ' ') out.text.remove_prefix(1);

  std::string_view head = line.substr(0, at);
  auto ns = parse_stamp(last_word(head));
  if (!ns) return std::nullopt;
  out.ns = *ns;
  std::string_view cpu = last_word(head);  // flags, unless irq-info is off
  if (cpu.empty() || cpu.front() != '[') cpu = last_word(head);
  if (cpu.size() < 3 || cpu.front() != '[') return std::nullopt;
  const auto cpu_number = parse_number<int>(cpu.substr(1, cpu.size() - 2));
  const size_t dash = head.find_last_of('-');
  if (dash == std::string_view::npos) return std::nullopt;
  std::string_view pid = head.substr(dash + 1);
  pid = pid.substr(0, pid.find(' '));
  const auto pid_number = parse_number<int>(pid);
  if (!cpu_number || !pid_number) return std::nullopt;
  out.cpu = *cpu_number;
  out.pid = *pid_number;
  out.comm = head.substr(0, dash);
  const size_t first = out.comm.find_first_not_of(' ');
  out.comm = first == std::string_view::npos ? std::string_view() : out.comm.substr(first);
  return out;
}

}  // namespace ktstr::guest
