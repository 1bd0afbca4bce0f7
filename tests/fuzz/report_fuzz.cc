// A recorded run whose events lie: the reporter makes a report in every format, without what steers a terminal; a page whose data
// cannot end its element; a trace that is JSON.
#include "base/json.h"
#include "base/text.h"
#include "reporter/format.h"
#include "reporter/html/page_data.h"
#include "reporter/html/run_picture.h"
#include "reporter/report.h"
#include "reporter/run_model.h"
#include "reporter/trace/trace_writer.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {

std::vector<Input> seeds() {
  std::vector<Input> events;
  for (const EventBuffer& event : sample_events()) events.push_back(input_of(event));
  std::vector<Input> out{join(events)};
  for (size_t i = 1; i < events.size(); ++i) out.push_back(join({events[0], events[i]}));
  return out;
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  using namespace ktstr::fuzz;
  RunModel model;
  RunPicture picture(64);
  std::string trace_text;
  TraceWriter trace([&](std::string_view text) {
    trace_text += text;
    return Status();
  });
  trace.begin_log();
  for (auto piece : pieces({data, size})) {
    auto event = EventBuffer::from_bytes(piece);
    if (!event) continue;
    picture.fold(*event);
    trace.fold(*event);
    model.fold(*event);
  }
  model.finish();
  trace.end_log(model);
  must(trace.finish().ok() && !parse_json(trace_text).is_discarded(), "a trace is no JSON");
  const Report report = make_report(model);
  for (std::string_view rest = report.text; !rest.empty();) {
    const CodePoint point = first_code_point(rest);
    must(point.length > 0, "a report is not UTF-8");
    must(!steers(point.value) && (point.value >= 0x20 || point.value == '\n' || point.value == '\t'),
         "a report steers a terminal");
    rest.remove_prefix(point.length);
  }
  const JudgedTest test{.tries = {facts_of({&model, &report})}, .planned = {}};
  for (Format format : {Format::kJson, Format::kJunit, Format::kMarkdown, Format::kGithub, Format::kKtap})
    (void)render(format, {&test, 1});
  const std::string page = page_data({&model, &report}, picture);
  must(page.find_first_of("<>&") == std::string::npos, "the page's data may end its element");
  must(!parse_json(page).is_discarded(), "the page's data is no JSON");
  return 0;
}
