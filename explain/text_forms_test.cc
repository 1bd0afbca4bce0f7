// What people and programs do to a text on its way into a report: it is the same crash, with the same signature.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "base/text.h"
#include "explain/testing/explained.h"
#include "explain/text_source.h"

namespace ktstr {
namespace {

using testing::explained;

// A stall as the kernel's log tells it, and a scheduler's own error in the words of its dump.
const std::vector<std::string>& stall() {
  static const std::vector<std::string> lines = {
      "sched_ext: BPF scheduler \"mine\" disabled (runnable task stall)",
      "sched_ext: mine: worker[4711] failed to run for 5.120s",
      "   scx_watchdog_workfn+0x14a/0x1e0",
      "   process_one_work+0x192/0x350",
      "   worker_thread+0x24c/0x380",
      "   kthread+0xd2/0x100",
      "   ret_from_fork+0x34/0x50"};
  return lines;
}
const std::vector<std::string>& error() {
  static const std::vector<std::string> lines = {
      "sched_ext: BPF scheduler \"mine\" disabled (scx_bpf_error)",
      "sched_ext: mine: mine.bpf.c:77: no context for 'worker' & \"friends\"",
      "   scx_bpf_error_bstr+0x65/0x80",
      "   bpf_prog_0123456789abcdef_mine_enqueue+0x4f/0x8c",
      "   bpf__sched_ext_ops_enqueue+0x4b/0xab",
      "   do_enqueue_task+0x112/0x260",
      "   enqueue_task_scx+0x1a2/0x2f0"};
  return lines;
}

std::string stamp(size_t i) {
  char out[32];
  std::snprintf(out, sizeof out, "[  101.%06zu] ", i * 3);
  return out;
}
std::string joined(const std::vector<std::string>& lines, const std::string& end = "\n") {
  std::string out;
  for (const std::string& line : lines) out += line + end;
  return out;
}
std::vector<std::string> stamped(const std::vector<std::string>& lines) {
  std::vector<std::string> out;
  for (size_t i = 0; i < lines.size(); ++i) out.push_back(stamp(i) + lines[i]);
  return out;
}
std::vector<std::string> each(const std::vector<std::string>& lines, const std::string& before,
                              const std::string& behind = "") {
  std::vector<std::string> out;
  for (const std::string& line : lines) out.push_back(before + line + behind);
  return out;
}
std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

void expect_same(const std::string& text, const std::vector<std::string>& lines) {
  const auto whole = explained(joined(stamped(lines)));
  const auto crashes = explained(text);
  ASSERT_EQ(whole.size(), 1u);
  ASSERT_EQ(crashes.size(), 1u) << text.substr(0, 600);
  EXPECT_EQ(crashes[0].signature, whole[0].signature) << text.substr(0, 600);
  EXPECT_EQ(crashes[0].summary, whole[0].summary) << text.substr(0, 600);
}
void expect_same(const std::vector<std::string>& changed, const std::vector<std::string>& lines) {
  expect_same(joined(changed), lines);
}
// Of both texts, each line with `before` and `behind`.
void expect_same_with(const std::string& before, const std::string& behind = "") {
  for (const auto* lines : {&stall(), &error()}) expect_same(each(stamped(*lines), before, behind), *lines);
}

TEST(TextForms, WhatContainersAndTheirToolsPutBeforeALineIsNone) {
  expect_same_with("2026-11-26T10:11:12.000000123+00:00 stderr F ");
  expect_same_with("2026-11-26 10:11:12.123\t");
  expect_same_with("[pod/agent-7xk2p/scheduler] ");
  expect_same_with("test (7.3)\tRun the tests\t2026-11-26T10:11:12.0000001Z ");
}

TEST(TextForms, ADateWithoutAHostOrWithoutAProcessIsADate) {
  for (const auto* lines : {&stall(), &error()}) {
    expect_same(each(*lines, "Nov 26 10:11:12 "), *lines);
    expect_same(each(stamped(*lines), "Nov 26 10:11:12 10.0.0.5 "), *lines);
    // dmesg -H: the first line of a minute has another stamp.
    auto human = each(*lines, "[  +0.000012] ");
    human[0] = "[Nov26 10:11] " + (*lines)[0];
    expect_same(human, *lines);
  }
}

TEST(TextForms, SignsOfListsDiffsAndQuotesAreNone) {
  for (const char* sign : {"+", "* ", "  * ", "| ", "- ", "# ", "> | "}) expect_same_with(sign);
  expect_same_with("`", "`");
}

TEST(TextForms, NetconsoleWithReleasesAndFragments) {
  for (const auto* lines : {&stall(), &error()}) {
    expect_same(each(*lines, "7.0.3-arch1,4,901,100000001,-,caller=T44;"), *lines);
    std::vector<std::string> fragments;
    for (const std::string& line : *lines) {
      const size_t half = line.size() / 2;
      const std::string size = "/" + std::to_string(line.size()) + ";";
      fragments.push_back("4,901,100000001,-,ncfrag=0" + size + line.substr(0, half));
      fragments.push_back("4,901,100000001,-,ncfrag=" + std::to_string(half) + size + line.substr(half));
    }
    expect_same(fragments, *lines);
  }
}

TEST(TextForms, TheDictionaryOfAKernelMessageIsNoPartOfIt) {
  std::vector<std::string> lines;
  for (const std::string& line : error()) {
    lines.push_back("4,901,100000001,-;" + line);
    lines.emplace_back(" SUBSYSTEM=pci");
    lines.emplace_back(" DEVICE=+pci:0000:00:1f.2");
  }
  expect_same(lines, error());
}

TEST(TextForms, PartsOfPstoreAreReadInTheOrderOfTime) {
  const auto lines = each(stamped(error()), "<4>");
  std::vector<std::string> parts = {"Oops#1 Part1"};  // the newest one
  parts.insert(parts.end(), lines.begin() + 4, lines.end());
  parts.emplace_back("Oops#1 Part2");
  parts.insert(parts.end(), lines.begin(), lines.begin() + 4);
  expect_same(parts, error());
}

TEST(TextForms, JsonOfDmesgContainersAndLogShippers) {
  auto quoted = [](const std::string& line) { return replaced(replaced(line, "\\", "\\\\"), "\"", "\\\""); };
  for (const auto* lines : {&stall(), &error()}) {
    std::string dmesg = "{\n   \"dmesg\": [\n", docker, journal, one = "{\"dmesg\":[";
    for (const std::string& line : *lines) {
      const std::string text = quoted(line);
      dmesg += "      {\n         \"pri\":     4,\n         \"time\":   101.000001,\n         \"msg\": \"" +
               text + "\"\n      },\n";
      docker += "{\"log\":\"" + text + "\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-26T10:11:12Z\"}\n";
      journal += "{\n\t\"SYSLOG_IDENTIFIER\" : \"kernel\",\n\t\"MESSAGE\" : \"" + text +
                 "\",\n\t\"_TRANSPORT\" : \"kernel\",\n\t\"PRIORITY\" : \"4\"\n}\n";
      one += "{\"pri\":4,\"msg\":\"" + text + "\"},";
    }
    dmesg += "   ]\n}\n";
    one.back() = ']';
    for (const std::string& text : {dmesg, docker, journal, one + "}\n"}) expect_same(text, *lines);
  }
}

TEST(TextForms, ATextInsideOneStringHasLines) {
  for (const auto* lines : {&stall(), &error()}) {
    const std::string text = joined(stamped(*lines), "\\n");
    expect_same(text + "\n", *lines);
    expect_same("\"" + replaced(text, "\"", "\\\"") + "\"\n", *lines);
  }
}

TEST(TextForms, CharactersOfWebPagesTerminalsAndMailersAreUndone) {
  const std::string text = joined(stamped(error()));
  std::string html = replaced(text, "&", "&amp;");
  html = replaced(replaced(html, "'", "&#39;"), "\"", "&quot;");
  expect_same("<pre>" + html + "</pre>\n", error());
  expect_same(replaced(html, "\n", "<br>\n"), error());
  expect_same(replaced(text, "  ", "\u00a0 "), error());
  expect_same(replaced(replaced(text, "\"mine\"", "\u201cmine\u201d"), "'worker'", "\u2018worker\u2019"),
              error());
  expect_same(each(stamped(error()), "^[[1;33m", "^[[0m"), error());
  std::string mail = replaced(stamp(0) + "Command line: quiet=1 splash=0\n" + text, "=", "=3D");
  for (size_t line = 0; line < mail.size(); line = mail.find('\n', line) + 1)
    if (mail.find('\n', line) - line > 60) mail.insert(line + 50, "=\n");
  expect_same(mail, error());
}

TEST(TextForms, BrokenLinesAreJoined) {
  for (const auto* lines : {&stall(), &error()}) {
    std::vector<std::string> wide = stamped(*lines), broken;
    wide.insert(wide.begin(), stamp(0) + "Modules linked in: " + std::string(150, 'm') + " last");
    for (std::string line : wide) {
      for (; line.size() > 60; line.erase(0, 60)) broken.push_back(line.substr(0, 60));
      broken.push_back(line);
    }
    expect_same(broken, *lines);
  }
}

TEST(TextForms, LinesThatRunIntoEachOtherAreToldApart) {
  for (const auto* lines : {&stall(), &error()}) {
    std::string text;
    for (const std::string& line : stamped(*lines)) text += line;
    expect_same(text + "\n", *lines);
  }
}

TEST(TextForms, WhatALoggerLeftOutIsNoPartOfAMessage) {
  for (const auto* lines : {&stall(), &error()}) {
    std::vector<std::string> text;
    for (const std::string& line : *lines) {
      text.push_back("Nov 26 10:11:12 host1 kernel: " + line);
      text.push_back("Nov 26 10:11:12 host1 kernel: message repeated 3 times: [ " + line + "]");
      text.emplace_back("Nov 26 10:11:12 host1 kernel: net_ratelimit: 34 callbacks suppressed");
      text.emplace_back("Nov 26 10:11:12 host1 kernel: ** 12 printk messages dropped **");
    }
    expect_same(text, *lines);
  }
}

TEST(TextForms, ADriverBetweenTwoFramesEndsNoTrace) {
  for (const auto* lines : {&stall(), &error()}) {
    std::vector<std::string> text;
    for (size_t i = 0; i < lines->size(); ++i) {
      text.push_back(stamp(i) + (*lines)[i]);
      if (i % 2) text.push_back(stamp(i) + "usb 1-2: new high-speed USB device number 5 using xhci_hcd");
    }
    expect_same(text, *lines);
  }
  // But a trace that follows is another one's.
  auto text = stamped(error());
  text.push_back(stamp(20) + "CPU: 1 UID: 0 PID: 12 Comm: other Not tainted 7.0.0 #1");
  text.push_back(stamp(20) + "Call Trace:");
  text.push_back(stamp(20) + " other_function+0x1/0x2");
  const auto crashes = explained(joined(text));
  ASSERT_FALSE(crashes.empty());
  for (const auto& frame : crashes[0].frames) EXPECT_NE(frame.function, "other_function");
}

TEST(TextForms, ACutMessageMakesNoSentenceWithAHole) {
  const std::string text =
      "[  101.000001] sched_ext: BPF scheduler \"mine\" disabled (runtime error)\n"
      "[  101.000002] sched_ext: mine: SCX_DSQ_LOCAL[_ON] cannot move migration disabled Xorg[1015] from "
      "CPU\n"
      "[  101.000003]    task_can_run_on_remote_rq+0x2c/0x150\n";
  const auto crashes = explained(text);
  ASSERT_EQ(crashes.size(), 1u);
  EXPECT_EQ(crashes[0].summary.find("CPU )"), std::string::npos) << crashes[0].summary;
  EXPECT_EQ(crashes[0].summary.find("CPU 's"), std::string::npos) << crashes[0].summary;
  // A member that the kernel does not know and that is zero is no reason, cut off or not.
  EXPECT_TRUE(explained("libbpf: struct_ops mine_ops: member priv not found in kernel, skipp\n").empty());
}

std::vector<std::string> lines_of_file(const std::string& bytes, TextStats* stats = nullptr) {
  char path[] = "/tmp/ktstr-forms-XXXXXX";
  const int fd = ::mkstemp(path);
  EXPECT_GE(fd, 0);
  EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  ::close(fd);
  std::vector<std::string> out;
  auto read = read_text(path, [&](std::string_view line) { out.emplace_back(line); });
  ::unlink(path);
  EXPECT_TRUE(static_cast<bool>(read));
  if (read && stats) *stats = *read;
  return out;
}

TEST(TextForms, EncodingsAndReturnsGiveTheSameLines) {
  const std::string text = joined(stamped(error())) + "caf\u00e9 \U0001f600\n";
  std::vector<std::string> plain = stamped(error());
  plain.emplace_back("caf\u00e9 \U0001f600");
  std::u16string wide;
  for (std::string_view rest = text; !rest.empty();) {
    const CodePoint c = first_code_point(rest);
    rest.remove_prefix(c.length);
    if (c.value < 0x10000) {
      wide += static_cast<char16_t>(c.value);
    } else {
      wide += static_cast<char16_t>(0xd800 + ((c.value - 0x10000) >> 10));
      wide += static_cast<char16_t>(0xdc00 + ((c.value - 0x10000) & 0x3ff));
    }
  }
  std::string little, big;
  for (const char16_t unit : wide) {
    const char low = static_cast<char>(unit & 0xff), high = static_cast<char>(unit >> 8);
    (little += low) += high;
    (big += high) += low;
  }
  EXPECT_EQ(lines_of_file("\xef\xbb\xbf" + text), plain);
  EXPECT_EQ(lines_of_file("\xff\xfe" + little), plain);
  EXPECT_EQ(lines_of_file("\xfe\xff" + big), plain);
  EXPECT_EQ(lines_of_file(little), plain);
  EXPECT_EQ(lines_of_file(big), plain);
  EXPECT_EQ(lines_of_file(replaced(text, "\n", "\r")), plain);
  // Longer than what is read at once: a unit may span two reads.
  std::string much = "\xff\xfe";
  while (much.size() < (3u << 20)) much += little;
  const size_t copies = (much.size() - 2) / little.size();
  EXPECT_EQ(lines_of_file(much).size(), copies * plain.size());
}

TEST(TextForms, AReversedTextOfAnotherEncodingIsTurnedToo) {
  std::string reversed = "\xef\xbb\xbf";
  auto lines = stamped(error());
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) reversed += *line + "\n";
  TextStats stats;
  EXPECT_EQ(lines_of_file(reversed, &stats), lines);
  EXPECT_TRUE(stats.reversed);
}

}  // namespace
}  // namespace ktstr
