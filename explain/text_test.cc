#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "explain/journal.h"
#include "explain/testing/explained.h"
#include "explain/text_line.h"
#include "explain/text_source.h"

namespace ktstr {
namespace {

std::vector<std::string> shaped(const std::string& text) {
  TextShape shape = TextShape::of(text);
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    shape.feed(line, [&](std::string_view less) { out.emplace_back(less); });
  shape.finish([&](std::string_view less) { out.emplace_back(less); });
  return out;
}

TEST(TextShape, NamesAndNumbersAreTakenOffOnlyWhereThatMakesTheTextReadable) {
  const std::string trace = "Call Trace:\n <TASK>\n f+0x1/0x2\n g+0x3/0x4\n </TASK>\n";
  for (const char* name : {"kern.log:", "host1  | ", "/var/log/kern.log-"}) {
    std::string text;
    std::istringstream in(trace);
    for (std::string line; std::getline(in, line);) text += name + line + "\n";
    EXPECT_EQ(shaped(text)[2], " f+0x1/0x2") << text;
  }
  EXPECT_EQ(shaped("1\tCall Trace:\n2\t <TASK>\n3\t f+0x1/0x2\n")[2], " f+0x1/0x2");
  // The verifier's instructions have numbers of their own; libbpf's lines have a name of their own.
  EXPECT_EQ(shaped("0: R1=ctx() R10=fp0\n0: (bf) r6 = r1\n1: (b7) r1 = 0\n")[1], "0: (bf) r6 = r1");
  EXPECT_EQ(shaped("libbpf: prog 'x': a\nlibbpf: prog 'x': b\nlibbpf: prog 'x': c\n")[1],
            "libbpf: prog 'x': b");
  EXPECT_EQ(shaped("one\ntwo\n").size(), 2u);
}

TEST(TextShape, BlankLinesBetweenAllLinesAreNone) {
  EXPECT_EQ(shaped("a\n\nb\n\nc\n\nd\n\n\n\ne\n\n"),
            (std::vector<std::string>{"a", "b", "c", "d", "", "", "e"}));
  EXPECT_EQ(shaped("a\n\nb\nc\nd\n\n").size(), 6u);
}

TEST(TextLine, PrefixesOfEveryLogger) {
  struct Row {
    const char* line;
    const char* text;
    Origin origin;
  };
  const Row rows[] = {
      {"[   12.345678] text", "text", Origin::kKernel},
      {"[   12.345678][   T12] text", "text", Origin::kKernel},
      {"[   12.345678] [    C3] text", "text", Origin::kKernel},
      {"<6>[   12.345678] text", "text", Origin::kKernel},
      {"kern  :warn  : [   12.345678] text", "text", Origin::kKernel},
      {"[Thu Jan 15 23:28:55 2025] text", "text", Origin::kKernel},
      {"2025-01-17T22:24:05,123456+03:00 text", "text", Origin::kUnknown},
      {"Sep 23 13:02:57 host1 kernel:    indented", "   indented", Origin::kKernel},
      {"Sep 04 19:50:20 kernel: text", "text", Origin::kKernel},
      {"paź 02 22:24:03 host1 bash[612]:   R x[34] -7430ms", "  R x[34] -7430ms", Origin::kProcess},
      {"2025-01-17T22:24:05+0300 host1 bash[9148]:   text", "  text", Origin::kProcess},
      {"Fri 2025-01-17 22:24:05 MSK host1 kernel: text", "text", Origin::kKernel},
      {"1737141845.123456 host1 kernel: text", "text", Origin::kKernel},
      {"[   12.345678] host1 kernel: text", "text", Origin::kKernel},
      {"2025-01-15T23:28:55.8238375Z [    5.334631] text", "text", Origin::kKernel},
      {"[2026-04-17T09:35:14Z INFO  scx_cake] libbpf: x", "libbpf: x", Origin::kProcess},
      {"22:38:36 [WARN] libbpf: prog 'a': x", "libbpf: prog 'a': x", Origin::kProcess},
      {"2026-05-24T05:51:47.036260Z  WARN ThreadId(01) scx_utils::log: rust/a/b.rs:12: libbpf: x",
       "libbpf: x", Origin::kProcess},
      {"> quoted", "quoted", Origin::kUnknown},
      {"    scx_flash-353 [003] d..2.  123.456789: sched_ext_dump:   R x[1] -2ms", "  R x[1] -2ms",
       Origin::kProcess},
      {"sched_ext: BPF scheduler \"x\" enabled", "sched_ext: BPF scheduler \"x\" enabled", Origin::kUnknown},
      {"[ BUG: Invalid wait context ]", "[ BUG: Invalid wait context ]", Origin::kUnknown},
      {"  R clang[12] -6673ms", "  R clang[12] -6673ms", Origin::kUnknown},
      {"12: (85) call pc+40", "12: (85) call pc+40", Origin::kUnknown},
      {"[  +0.000012] text", "text", Origin::kKernel},
      {"<4>1 2026-03-04T22:57:02.000001Z host1 kernel - - - text", "text", Origin::kKernel},
      {"1 2026-03-04T22:57:02Z host1 scx_x 12 - [meta a=\"b\"] text", "text", Origin::kProcess},
      {"03-04 22:57:02.123     0     0 W         : text", "text", Origin::kUnknown},
      {"4,123,700000001,-;text", "text", Origin::kKernel},
      {"[    3.000000] [pid:0,cpu0,swapper/0]text", "text", Origin::kKernel},
      {"[    3.000000] [3:  kworker/3:1:  105] text", "text", Origin::kKernel},
      {"[    3.000000]  (3)[105:kworker/3:1]text", "text", Origin::kKernel},
      {"2026-03-04T22:57:02,000010+01:00 Backtrace:", "Backtrace:", Origin::kUnknown},
      {"2026-03-04T22:57:02,000010+01:00 12: (85) call pc+40", "12: (85) call pc+40", Origin::kUnknown},
      {"> > quoted twice", "quoted twice", Origin::kUnknown},
      {"<pre>[   12.345678] text</pre>", "text", Origin::kKernel},
      {"Mar 26 20:52:22 host1 kernel: #012but task is", "but task is", Origin::kKernel},
      {"text  ", "text", Origin::kUnknown},
  };
  for (const Row& row : rows) {
    const TextLine line = strip_prefixes(row.line);
    EXPECT_EQ(line.text, row.text) << row.line;
    EXPECT_EQ(line.origin, row.origin) << row.line;
  }
}

std::vector<std::string> decoded(const std::vector<std::string>& lines) {
  JournalDecoder journal;
  std::vector<std::string> out;
  const JournalDecoder::OnText on_text = [&](std::string_view text, Origin origin, std::string_view) {
    out.push_back((origin == Origin::kKernel    ? "k:"
                   : origin == Origin::kProcess ? "p:"
                                                : "?:") +
                  std::string(text));
  };
  for (const std::string& line : lines) journal.feed(line, on_text);
  journal.finish(on_text);
  return out;
}

TEST(Journal, JsonAndExport) {
  EXPECT_EQ(decoded({R"({"__CURSOR":"x","MESSAGE":"a b","SYSLOG_IDENTIFIER":"kernel"})",
                     R"({"MESSAGE":[120,10,121],"SYSLOG_IDENTIFIER":"bash"})"}),
            (std::vector<std::string>{"k:a b", "p:x", "p:y"}));
  EXPECT_EQ(decoded({"__CURSOR=s=1", "__REALTIME_TIMESTAMP=12", "SYSLOG_IDENTIFIER=kernel", "MESSAGE=a=b", "",
                     "__CURSOR=s=2", "MESSAGE", std::string("\x03\0\0\0\0\0\0\0x", 9), "y", "_PID=2", ""}),
            (std::vector<std::string>{"k:a=b", "?:x", "?:y"}));
  EXPECT_EQ(decoded({"{", "\t\"MESSAGE\" : \"a\",", "}"}), std::vector<std::string>{"?:a"});
  EXPECT_EQ(decoded({"{ not json", "\"MESSAGE\" too"}).size(), 2u);
}

class TextFile : public ::testing::Test {
 protected:
  std::string path_ = ::testing::TempDir() + "ktstr-text-" + std::to_string(::getpid());
  void TearDown() override { std::remove(path_.c_str()); }
  void write(const std::string& text) { std::ofstream(path_, std::ios::binary) << text; }
  std::vector<std::string> lines() {
    std::vector<std::string> out;
    auto stats = read_text(path_, [&](std::string_view line) { out.emplace_back(line); });
    EXPECT_TRUE(stats.ok());
    return out;
  }
};

TEST_F(TextFile, ReversedTextIsReadFromItsEnd) {
  write("[    3.000000] c\n[    2.000000] b\n[    1.000000] a\n");
  EXPECT_EQ(lines(), (std::vector<std::string>{"[    1.000000] a", "[    2.000000] b", "[    3.000000] c"}));
}

TEST_F(TextFile, LongReversedTextOverManyBlocks) {
  std::string text;
  for (int i = 400'000; i > 0; --i) text += "[" + std::to_string(i) + ".000000] line\n";
  write(text);
  const auto out = lines();
  ASSERT_EQ(out.size(), 400'000u);
  EXPECT_EQ(out.front(), "[1.000000] line");
  EXPECT_EQ(out.back(), "[400000.000000] line");
}

TEST_F(TextFile, ReturnsAndAMissingLastEnd) {
  write("a\r\n\nb");
  EXPECT_EQ(lines(), (std::vector<std::string>{"a", "", "b"}));
}

TEST_F(TextFile, WhatIsNoTextIsRefused) {
  write(std::string(1000, '\0'));
  EXPECT_FALSE(read_text(path_, [](std::string_view) {}).ok());
  EXPECT_FALSE(read_text("/nonexistent/x", [](std::string_view) {}).ok());
  EXPECT_FALSE(read_text(::testing::TempDir(), [](std::string_view) {}).ok());
}

TEST(TextOrder, StructureTellsWhereStampsDoNot) {
  EXPECT_TRUE(
      is_reversed("  f+0x1/0x2\nBacktrace:\n\n  runnable task stall (x[1] failed to run for 5.000s)\na[2] "
                  "triggered exit kind 1026:\n"));
  EXPECT_FALSE(
      is_reversed("a[2] triggered exit kind 1026:\n  runnable task stall (x[1] failed to run for "
                  "5.000s)\n\nBacktrace:\n  f+0x1/0x2\n"));
  EXPECT_FALSE(is_reversed("b\na\n"));
}

}  // namespace
}  // namespace ktstr
