#include "reporter/scheduler_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "reporter/dump_copy.h"
#include "reporter/page.h"
#include "scx/scx_dump.h"

namespace ktstr {
namespace {

// The lines of a dump that are kept, and their numbers, from 1.
struct NumberedLines {
  explicit NumberedLines(const HeadTail& lines) : left_out(lines.left_out()) {
    for (const std::string& line : lines.head()) text.push_back(printed_line(line));
    head = text.size();
    if (left_out) text.emplace_back(kNoLine);
    for (const std::string& line : lines.tail()) text.push_back(printed_line(line));
  }
  uint64_t number(size_t i) const { return left_out && i > head ? i + left_out : i + 1; }

  std::vector<std::string> text;
  size_t head = 0;
  uint64_t left_out;
};

// "lines 1 to 54 of the kernel's dump (120 lines), printed under "sched_ext dump""
std::string dump_words(uint64_t first, uint64_t last, const SchedulerLog::Dump& dump) {
  const uint64_t total = dump.lines.total();
  std::string out = first == 1 && last == total
                        ? fmt::format("the kernel's dump, {} lines", total)
                        : fmt::format("lines {} to {} of the kernel's dump ({} lines)", first, last, total);
  if (first >= dump.first_printed) return out + fmt::format(", printed under \"{}\"", dump.section);
  return out + fmt::format(", whose last {} are printed under \"{}\"", total + 1 - dump.first_printed,
                           dump.section);
}

std::string prefix_words(const DumpCopy& copy) {
  if (copy.first_prefix == copy.last_prefix)
    return copy.first_prefix.empty()
               ? ""
               : fmt::format("; in the log, the lines begin with \"{}\"", copy.first_prefix);
  return fmt::format("; in the log, the lines begin with \"{}\" to \"{}\"", copy.first_prefix,
                     copy.last_prefix);
}

}  // namespace

void SchedulerLog::push(std::string_view line) {
  ++total_;
  waiting_.emplace_back(line.substr(0, kMaxKeptLineBytes));
  waiting_bytes_ += waiting_.back().size();
  while (waiting_.size() > kMostLines || waiting_bytes_ > kMostBytes) {
    waiting_bytes_ -= waiting_.front().size();
    shown_.push(waiting_.front());
    waiting_.pop_front();
  }
}

void SchedulerLog::finish(const Dump& dump) {
  show_waiting(dump);
  waiting_.clear();
  waiting_bytes_ = 0;
  shown_.finish();
}

void SchedulerLog::show_waiting(const Dump& dump) {
  std::vector<DumpCopy> copies;
  const NumberedLines kernels(dump.lines);
  if (!kernels.text.empty()) {
    std::vector<std::string> log;
    for (const std::string& line : waiting_) log.push_back(printed_line(line));
    copies = find_dump_copies(log, kernels.text);
  }
  const uint64_t before = total_ - waiting_.size();  // lines that are no longer waiting
  ScxDump dumped, rest;
  if (!copies.empty())
    for (const std::string& line : kernels.text) dumped.feed(line);
  const auto show = [&](const std::string& line) {
    shown_.push(line);
    if (!copies.empty()) rest.feed(line);
  };
  size_t next = 0;
  for (const DumpCopy& copy : copies) {
    for (; next < copy.log; ++next) show(waiting_[next]);
    next += copy.lines;
    shown_.push(
        fmt::format("[lines {} to {} of the log: {}{}]", before + copy.log + 1, before + next,
                    dump_words(kernels.number(copy.dump), kernels.number(copy.dump + copy.lines - 1), dump),
                    prefix_words(copy)));
  }
  for (; next < waiting_.size(); ++next) show(waiting_[next]);
  tasks_only_here_ =
      static_cast<size_t>(std::count_if(rest.tasks().begin(), rest.tasks().end(),
                                        [&](const DumpTask& task) { return !dumped.find(task.pid); }));
}

}  // namespace ktstr
