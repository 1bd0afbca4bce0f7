#include "launcher/cli/explain_command.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "launcher/cli/import_log.h"
#include "schemas/crash_generated.h"
#include "schemas/exit_code.h"
#include "schemas/log_reader.h"

namespace ktstr {
namespace {

constexpr char kText[] = R"([  130.000001] sched_ext: BPF scheduler "demo" disabled (scx_bpf_error)
[  130.000002] sched_ext: demo: no such cell
[  130.000003]    bpf_prog_0123456789abcdef_demo_enqueue+0x1/0x2
[  131.000000] WARNING: CPU: 1 PID: 9 at kernel/sched/ext.c:12 scx_a+0x1/0x2
)";

class ExplainCommand : public ::testing::Test {
 protected:
  void SetUp() override { std::ofstream(text_) << kText; }
  void TearDown() override {
    std::remove(text_.c_str());
    std::remove(log_.c_str());
  }
  std::string text_ = ::testing::TempDir() + "ktstr-explain-" + std::to_string(::getpid()) + ".txt";
  std::string log_ = ::testing::TempDir() + "ktstr-explain-" + std::to_string(::getpid()) + ".ktlog";
};

TEST_F(ExplainCommand, AnImportedTextIsExplainedAlikeFromItsEvents) {
  auto log = ImportLog::create(log_, text_);
  ASSERT_TRUE(log.ok());
  auto text = explain_file(text_, log->get());
  ASSERT_TRUE(text.ok());
  ASSERT_TRUE((*log)->finish().ok());
  ASSERT_EQ(text->crashes.size(), 2u);
  auto again = explain_file(log_);
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(again->crashes.size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(again->crashes[i].signature, text->crashes[i].signature);

  auto reader = LogReader::open(log_);
  ASSERT_TRUE(reader.ok());
  size_t exits = 0, faults = 0;
  for (;;) {
    auto event = reader->next();
    ASSERT_TRUE(event.ok());
    if (!*event) break;
    EXPECT_EQ(str((**event)->source()), "import");
    exits += (*event)->type() == Payload::CrashDetected;
    faults += (*event)->type() == Payload::KernelFault;
  }
  EXPECT_EQ(exits, 1u);
  EXPECT_EQ(faults, 1u);
  EXPECT_TRUE(reader->damage().empty());
}

TEST_F(ExplainCommand, WhatCannotBeReadIsAUsageError) {
  EXPECT_EQ(explain_command({.files = {text_ + ".not"}, .json = true}), exit_code(ExitCode::kUsage));
  EXPECT_EQ(explain_command({.files = {text_}, .json = true}), 0);
  EXPECT_EQ(triage_command({.paths = {text_ + ".not"}, .format = "text"}), exit_code(ExitCode::kUsage));
  EXPECT_EQ(triage_command({.paths = {text_}, .format = "json"}), 0);
}

TEST_F(ExplainCommand, ALogIsNeverOverwritten) {
  std::ofstream(log_) << "x";
  EXPECT_EQ(explain_command({.files = {text_}, .json = true, .log = log_}), exit_code(ExitCode::kUsage));
}

}  // namespace
}  // namespace ktstr
