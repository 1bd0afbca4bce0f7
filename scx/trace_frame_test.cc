#include "scx/trace_frame.h"

#include <gtest/gtest.h>

#include "schemas/guest_generated.h"

namespace ktstr {
namespace {

TEST(ParseTraceFrame, KernelFunction) {
  auto frame = parse_trace_frame("  enqueue_task_scx+0x1e1/0x340");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->function, "enqueue_task_scx");
  EXPECT_EQ(frame->offset, 0x1e1u);
  EXPECT_EQ(frame->size, 0x340u);
  EXPECT_EQ(frame->raw, "enqueue_task_scx+0x1e1/0x340");
  EXPECT_TRUE(frame->tag.empty());
  EXPECT_FALSE(frame->uncertain);
}

TEST(ParseTraceFrame, BpfProgram) {
  auto frame = parse_trace_frame("bpf_prog_f26261e135282e9f_qmap_enqueue+0xd7/0x322");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->function, "qmap_enqueue");
  EXPECT_EQ(frame->tag, "f26261e135282e9f");
  frame = parse_trace_frame("bpf_prog_f26261e135282e9f+0xd7/0x322");  // a program without a name
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->function, "bpf_prog_f26261e135282e9f");
  EXPECT_EQ(frame->tag, "f26261e135282e9f");
  EXPECT_TRUE(parse_trace_frame("bpf_prog_run_clear_cb+0x1/0x2")->tag.empty());
  EXPECT_EQ(parse_trace_frame("bpf_trampoline_6442549234+0x4a/0x1000")->function,
            "bpf_trampoline_6442549234");
}

TEST(ParseTraceFrame, UncertainAndModule) {
  auto frame = parse_trace_frame(" ? __pfx_kernel_init+0x10/0x10");
  ASSERT_TRUE(frame);
  EXPECT_TRUE(frame->uncertain);
  EXPECT_EQ(frame->function, "__pfx_kernel_init");
  frame = parse_trace_frame("finish_task_switch.isra.0+0xc6/0x3e0 [kvm]");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->function, "finish_task_switch.isra.0");
}

TEST(ParseTraceFrame, NoFrames) {
  for (const char* text :
       {"", "?", "Backtrace:", "foo", "foo+0x1", "+0x1/0x2", "foo+0x1/", "foo+0xzz/0x2", "a b+0x1/0x2",
        "foo+0x1/0x2 and more", "foo+0x1ffffffff/0x2", "<TASK>", "CPU 0   : nr_run=2"})
    EXPECT_FALSE(parse_trace_frame(text)) << text;
}

TEST(ParseTaskName, CommMayHoldBrackets) {
  auto task = parse_task_name("a [b][17]");
  ASSERT_TRUE(task);
  EXPECT_EQ(task->comm, "a [b]");
  EXPECT_EQ(task->pid, 17);
  EXPECT_EQ(parse_task_name("swapper/0[0]")->pid, 0);
  for (const char* text : {"", "]", "[]", "x", "x[y]", "x[99999999999]", "x[1"})
    EXPECT_FALSE(parse_task_name(text)) << text;
}

TEST(TraceFrame, DecodedTextAndOtherPrinters) {
  auto frame = parse_trace_frame(" __schedule+0x3ff/0xfc0 kernel/sched/core.c:6766");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->file, "kernel/sched/core.c");
  EXPECT_EQ(frame->line, 6766u);
  frame = parse_trace_frame(" context_switch kernel/sched/core.c:5446 [inline]");
  ASSERT_TRUE(frame);
  EXPECT_TRUE(frame->inlined);
  frame = parse_trace_frame("? dump_stack_lvl (lib/dump_stack.c:124 (discriminator 4))");
  ASSERT_TRUE(frame);
  EXPECT_TRUE(frame->uncertain);
  EXPECT_EQ(frame->line, 124u);
  EXPECT_TRUE(parse_trace_frame(" string+0x5c/0x118 (P)"));
  EXPECT_TRUE(parse_trace_frame("#4 [ffffa9f1c0003e58] schedule at ffffffff8220156a"));
  // A message with its place, a sentence, a path.
  EXPECT_FALSE(parse_trace_frame("scx_bpf_error (src/bpf/x.bpf.c:119: no context)"));
  EXPECT_FALSE(parse_trace_frame("failed at kernel/x.c:12"));
  EXPECT_FALSE(parse_trace_frame("name"));
}

TEST(TraceFrame, CompilersSuffixesAreNoPartOfAName) {
  EXPECT_EQ(base_function("scx_enable.isra.0"), "scx_enable");
  EXPECT_EQ(base_function("dequeue_task_scx.llvm.15304548555706679011"), "dequeue_task_scx");
  EXPECT_EQ(base_function("f.constprop.0.cold"), "f");
  EXPECT_EQ(base_function("f"), "f");
}

}  // namespace
}  // namespace ktstr
