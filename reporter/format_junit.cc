// JUnit XML as Jenkins and GitLab document it; tests/formats/junit.xsd is that format as a schema.
#include <fmt/format.h>
#include <time.h>

#include "base/text.h"
#include "reporter/format.h"
#include "schemas/common_generated.h"

namespace ktstr {

std::string xml_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = first_code_point(text);
    const char32_t c = point.value;
    const bool valid = point.length > 0 && (c == '\t' || c == '\n' || (c >= 0x20 && c < 0xd800) ||
                                            (c >= 0xe000 && c <= 0xfffd) || c >= 0x10000);
    const std::string_view bytes = text.substr(0, std::max<size_t>(point.length, 1));
    text.remove_prefix(bytes.size());
    if (!valid)
      out += '?';
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&apos;";
    else
      out += bytes;
  }
  return out;
}

namespace {

double seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

std::string iso_time(uint64_t unix_ns) {
  const time_t t = static_cast<time_t>(unix_ns / 1'000'000'000);
  struct tm parts{};
  char text[32] = "";
  if (::gmtime_r(&t, &parts)) ::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return text;
}

void property(const char* name, const std::string& value, std::string& out) {
  if (!value.empty())
    out += fmt::format("        <property name=\"{}\" value=\"{}\"/>\n", name, xml_text(value));
}

// A try that did not decide: its text goes where surefire's format has it.
void other_try(const RunFacts& one, bool flaky, std::string& out) {
  const std::string element =
      std::string(flaky ? "flaky" : "rerun") + (one.outcome == Outcome::Fail ? "Failure" : "Error");
  out +=
      fmt::format("      <{} message=\"{}\" type=\"{}\">\n        <stackTrace>{}</stackTrace>\n      </{}>\n",
                  element, xml_text(one.summary), xml_text(one.reason), xml_text(one.text), element);
}

void test_case(const JudgedTest& test, std::string& out) {
  const RunFacts& last = test.last();
  const TestStatus status = test.status();
  uint64_t ns = 0;
  for (const RunFacts& one : test.tries) ns += one.duration_ns;
  const std::string file = last.file.empty() ? "" : fmt::format(" file=\"{}\"", xml_text(last.file));
  out += fmt::format("    <testcase name=\"{}\" classname=\"{}\"{} time=\"{:.3f}\">\n",
                     xml_text(test.shown_name()), xml_text(last.file.empty() ? "ktstr" : last.file), file,
                     seconds(ns));
  std::string properties;
  property("status", status_name(status), properties);
  property("signature", last.signature, properties);
  property("kernel", last.kernel, properties);
  property("topology", last.topology, properties);
  property("scheduler", last.scheduler, properties);
  property("accelerator", last.accelerator, properties);
  property("run", last.run_id, properties);
  property("rerun", last.rerun, properties);
  out += "      <properties>\n" + properties + "      </properties>\n";
  switch (status) {
    case TestStatus::kPass:
    case TestStatus::kFlaky:
      break;
    case TestStatus::kNotRun:
      out +=
          "      <error message=\"not run\" type=\"not run\">The run that planned this test ended before "
          "it.</error>\n";
      break;
    case TestStatus::kSkip:
      out += fmt::format("      <skipped message=\"{}\"/>\n", xml_text(last.summary));
      break;
    case TestStatus::kFail:
    case TestStatus::kInconclusive: {
      const char* element = status == TestStatus::kFail ? "failure" : "error";
      out += fmt::format("      <{} message=\"{}\" type=\"{}\">{}</{}>\n", element, xml_text(last.summary),
                         xml_text(last.reason), xml_text(last.text), element);
      break;
    }
  }
  for (size_t i = 0; i + 1 < test.tries.size(); ++i)
    other_try(test.tries[i], status == TestStatus::kFlaky, out);
  out += "    </testcase>\n";
}

}  // namespace

std::string render_junit(std::span<const JudgedTest> tests) {
  size_t failures = 0, errors = 0, skipped = 0;
  uint64_t ns = 0, start = 0;
  std::string cases;
  for (const JudgedTest& test : tests) {
    const TestStatus status = test.status();
    failures += status == TestStatus::kFail;
    errors += status == TestStatus::kInconclusive || status == TestStatus::kNotRun;
    skipped += status == TestStatus::kSkip;
    for (const RunFacts& one : test.tries) {
      ns += one.duration_ns;
      if (one.start_unix_ns != 0 && (start == 0 || one.start_unix_ns < start)) start = one.start_unix_ns;
    }
    test_case(test, cases);
  }
  const std::string when = start == 0 ? "" : fmt::format(" timestamp=\"{}\"", iso_time(start));
  const std::string counts =
      fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3f}\"", tests.size(),
                  failures, errors, skipped, seconds(ns));
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"ktstr\" {}{}>\n{}"
      "  </testsuite>\n</testsuites>\n",
      counts, when, cases);
}

}  // namespace ktstr
