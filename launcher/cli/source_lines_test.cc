#include "launcher/cli/source_lines.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "launcher/cli/explain_command.h"

namespace ktstr {
namespace {

class SourceLinesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto sources = KernelSources::open(KTSTR_DWARF_FIXTURE);
    ASSERT_TRUE(sources.ok());
    for (uint32_t size = 1; size < 4096 && size_ == 0; ++size)
      if ((*sources)->match("fixture_outer", size) == SymbolMatch::kSame) size_ = size;
    for (uint32_t offset = 1; offset < size_ && call_ == 0; ++offset)
      if (!(*sources)->place_of("fixture_outer", offset, size_).inlined.empty()) call_ = offset;
    auto opened = SourceLines::open("", KTSTR_DWARF_FIXTURE);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    lines_ = std::move(*opened);
  }
  void TearDown() override { std::remove(path_.c_str()); }

  Explanation explained(const std::string& kernel, const std::string& size) {
    std::ofstream(path_)
        << "WARNING: CPU: 1 PID: 9 at kernel/x.c:1 other+0x1/0x2\nCPU: 1 UID: 0 PID: 9 Comm: a Not tainted "
        << kernel << " #1\nCall Trace:\n <TASK>\n fixture_outer+" << fmt::format("{:#x}", call_) << "/"
        << size << "\n bpf_prog_0123456789abcdef_x+0x1/0x2\n </TASK>\n";
    const auto plain = explain_file(path_);
    const auto text = explain_file(path_, nullptr, lines_.get());
    EXPECT_TRUE(text.ok() && plain.ok());
    EXPECT_EQ(text->crashes.size(), 1u);
    EXPECT_EQ(text->crashes[0].signature, plain->crashes[0].signature);
    return text->crashes[0];
  }
  std::string same_size() const { return fmt::format("{:#x}", size_); }

  uint32_t size_ = 0, call_ = 0;
  std::unique_ptr<SourceLines> lines_;
  std::string path_ = ::testing::TempDir() + "ktstr-lines-" + std::to_string(::getpid()) + ".txt";
};

TEST_F(SourceLinesTest, FramesGetLinesAndTheFunctionsThatWereInlinedThere) {
  const Explanation e = explained("9.9.9-fixture", same_size());
  ASSERT_GE(e.frames.size(), 3u);
  size_t at = 0;
  while (at < e.frames.size() && e.frames[at].function != "fixture_inner") ++at;
  ASSERT_LT(at + 1, e.frames.size());
  EXPECT_TRUE(e.frames[at].inlined);
  EXPECT_TRUE(e.frames[at].file.ends_with("bpf/testing/dwarf_fixture.c")) << e.frames[at].file;
  EXPECT_EQ(e.frames[at + 1].function, "fixture_outer");
  EXPECT_TRUE(e.frames[at + 1].file.ends_with("bpf/testing/dwarf_fixture.c")) << e.frames[at + 1].file;
  EXPECT_EQ(e.frames[at + 1].line, 11u);
  for (const std::string& lack : e.lacks) EXPECT_EQ(lack.find("fixture of"), std::string::npos) << lack;
}

TEST_F(SourceLinesTest, AnotherKernelsImageGivesNoLinesAndIsSaid) {
  const Explanation e = explained("7.2.1", same_size());
  for (const ChainFrameT& frame : e.frames)
    if (frame.function == "fixture_outer") {
      EXPECT_TRUE(frame.file.empty());
    }
  ASSERT_FALSE(e.lacks.empty());
  EXPECT_NE(e.lacks.back().find("9.9.9-fixture, the text of 7.2.1"), std::string::npos) << e.lacks.back();
}

TEST_F(SourceLinesTest, AnotherBuildOfTheSameReleaseIsSeenByTheFunctionsSize) {
  const Explanation e = explained("9.9.9-fixture", "0x3000");
  ASSERT_FALSE(e.lacks.empty());
  EXPECT_NE(e.lacks.back().find("another build"), std::string::npos) << e.lacks.back();
}

TEST_F(SourceLinesTest, WhatHasNoDwarfIsAnError) {
  std::ofstream(path_) << "no ELF";
  EXPECT_FALSE(SourceLines::open("", path_).ok());
  EXPECT_FALSE(SourceLines::open("/no/such/kernel", "").ok());
  EXPECT_EQ(explain_command({.files = {path_}, .json = true, .debuginfo = path_}), 2);
}

}  // namespace
}  // namespace ktstr
