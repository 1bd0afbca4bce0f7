// What people paste: `explain`'s way from any text to a report. Neither crashes nor hangs, and what it prints is printable.
#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "explain/crash_text.h"
#include "explain/journal.h"
#include "explain/text_source.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {
namespace {

std::string read_case(const std::string& path) {
  std::string out;
  if (FILE* file = std::fopen(path.c_str(), "rb")) {
    char buffer[4096];
    for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) out.append(buffer, n);
    std::fclose(file);
  }
  return out;
}

}  // namespace
std::vector<Input> seeds() {
  std::vector<Input> out;
  for (const auto& entry : std::filesystem::directory_iterator(KTSTR_CASES)) {
    const std::string text = read_case(entry.path());
    if (entry.path().extension() == ".txt" && text.size() < 60'000) out.push_back(input_of(text));
  }
  must(!out.empty(), "no cases");
  return out;
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  using namespace ktstr::fuzz;
  IncidentScanner scanner;
  JournalDecoder journal;
  const JournalDecoder::OnText on_text = [&](std::string_view line, Origin origin, std::string_view when) {
    scanner.feed(line, origin, when);
  };
  ExplainedText text;
  text.file = "pasted";
  std::string_view rest = text_of({data, size});
  TextShape shape = TextShape::of(rest.substr(0, 4096));
  (void)is_reversed(rest.substr(0, 4096), shape);
  const TextShape::OnLine on_line = [&](std::string_view line) { journal.feed(line, on_text); };
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    shape.feed(rest.substr(0, end), on_line);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    ++text.lines;
  }
  shape.finish(on_line);
  journal.finish(on_text);
  scanner.finish();
  while (auto incident = scanner.take())
    if (text.crashes.size() < kMaxCrashes) text.crashes.push_back(explain(*incident));
  order_explanations(text.crashes);
  std::string report = text_report(text), as_shown;
  for (size_t at = 0, end; at < report.size(); at = end + 1) {
    end = std::min(report.find('\n', at), report.size());
    as_shown += printable(std::string_view(report).substr(at, end - at)) + '\n';
  }
  must(as_shown == report, "a report holds what must not reach a terminal");
  std::string json = json_report(text);
  if (json.ends_with('\n')) json.pop_back();
  must(json.find('\n') == std::string::npos, "more than one JSON line");
  for (const Explanation& crash : text.crashes) must(!crash.summary.empty(), "a crash without a summary");
  return 0;
}
