#include "collector/bpf_line_resolver.h"

#include <gtest/gtest.h>

#include "schemas/crash_generated.h"
#include "schemas/envelope.h"
#include "schemas/guest_generated.h"
#include "scx/trace_frame.h"

namespace ktstr {
namespace {

struct Function {
  const char* name;
  uint64_t address;
  uint32_t size;
  uint32_t first_line;  // one source line each 16 bytes
};

EventBuffer program(const char* name, const char* tag, std::vector<Function> functions) {
  BpfProgramT p;
  p.name = name;
  p.tag = tag;
  for (const Function& f : functions) {
    auto function = std::make_unique<BpfFunctionT>();
    function->name = f.name;
    function->address = f.address;
    function->size = f.size;
    p.functions.push_back(std::move(function));
    for (uint32_t at = 0; at < f.size; at += 16) {
      auto line = std::make_unique<LineInfoT>();
      line->jited_addr = f.address + at;
      line->file = "main.bpf.c";
      line->line = f.first_line + at / 16;
      line->text = std::string("line of ") + f.name;
      p.lines.push_back(std::move(line));
    }
  }
  return make_event({}, std::move(p));
}

std::vector<ChainFrameT> chain(std::initializer_list<const char*> texts) {
  std::vector<ChainFrameT> frames;
  for (const char* text : texts) frames.push_back(*parse_trace_frame(text));
  return frames;
}

TEST(BpfLineResolver, LineBeforeTheReturnAddress) {
  BpfLineResolver resolver;
  resolver.add(
      *program("demo_enqueue", "aaaaaaaaaaaaaaaa", {{"demo_enqueue", 0x1000, 0x100, 10}}).as<BpfProgram>());
  auto frames = chain({"bpf_prog_aaaaaaaaaaaaaaaa_demo_enqueue+0x21/0x100", "enqueue_task+0x10/0x20"});
  resolver.resolve(frames);
  EXPECT_EQ(frames[0].file, "main.bpf.c");
  EXPECT_EQ(frames[0].line, 12u);
  EXPECT_TRUE(frames[1].file.empty());
  // A return address at a line's very start belongs to the call before it.
  frames = chain({"bpf_prog_aaaaaaaaaaaaaaaa_demo_enqueue+0x20/0x100"});
  resolver.resolve(frames);
  EXPECT_EQ(frames[0].line, 11u);
}

TEST(BpfLineResolver, SubprogramOfTheProgramThatCalledIt) {
  // Both programs hold a copy of `place`; their tags say nothing about the copy.
  BpfLineResolver resolver;
  resolver.add(*program("one", "1111111111111111", {{"one", 0x1000, 0x80, 10}, {"place", 0x2000, 0x80, 100}})
                    .as<BpfProgram>());
  resolver.add(*program("two", "2222222222222222", {{"two", 0x3000, 0x80, 20}, {"place", 0x4000, 0x80, 200}})
                    .as<BpfProgram>());
  auto frames =
      chain({"bpf_prog_9999999999999999_place+0x18/0x80", "bpf_prog_2222222222222222_two+0x18/0x80"});
  resolver.resolve(frames);
  EXPECT_EQ(frames[0].line, 201u);
  EXPECT_EQ(frames[1].line, 21u);
}

TEST(BpfLineResolver, UnknownProgramsStayBlank) {
  BpfLineResolver resolver;
  auto frames = chain({"bpf_prog_aaaaaaaaaaaaaaaa_demo_enqueue+0x21/0x100"});
  resolver.resolve(frames);
  EXPECT_TRUE(frames[0].file.empty());
  EXPECT_EQ(frames[0].line, 0u);
}

}  // namespace
}  // namespace ktstr
