// Buffers that the FlatBuffers verifier accepts and that are no events for us: the stamp lies over another part, or a copy
// would take far more than the buffer.
#include "schemas/unpack_bound.h"

#include <gtest/gtest.h>

#include "base/small_files.h"
#include "schemas/repro_generated.h"
#include "schemas/testing/bent_buffers.h"
#include "schemas/workload_generated.h"

namespace ktstr {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

std::string refusal(const Bytes& bytes) {
  auto event = EventBuffer::from_bytes(bytes);
  return event ? "" : event.error().message();
}

void expect_a_bomb(const Bytes& bytes) {
  EXPECT_NE(refusal(bytes).find("unpack to more than it is"), std::string::npos) << refusal(bytes);
}

bool passes(const EventBuffer& event) { return EventBuffer::from_bytes(event.bytes()).ok(); }

TEST(StampApart, WhatPassesVerifiesWithAnyStamp) {
  size_t refused = 0, passed = 0;
  for (const Bytes& bent : stamps_over_another_part("run")) {
    auto event = EventBuffer::from_bytes(bent);
    ++(event ? passed : refused);
    if (!event) continue;
    for (uint64_t word : {uint64_t{0}, uint64_t{1}, uint64_t{0x0101010101010101}, ~uint64_t{0}}) {
      event->stamp_seq(word);
      event->stamp_host_ns(word);
      event->stamp_origin(static_cast<Vm>(word & 0xff), static_cast<uint8_t>(word));
      EXPECT_TRUE(EventBuffer::from_bytes(event->bytes())) << "changed by its stamp";
    }
  }
  EXPECT_GT(refused, 20u);
  EXPECT_GT(passed, 2u) << "a stamp that lies apart is an event like any other";
}

TEST(StampApart, EventsOfARealAttackAreRefused) {
  for (const char* name : {"empty-vtable-in-stamp", "guest-poison-col", "guest-poison-dump",
                           "guest-poison-sched", "guest-poison-seq0", "poison-host", "poison-seq"}) {
    auto text = read_binary(std::string(KTSTR_BENT_EVENTS) + "/" + name + ".event", 4096);
    ASSERT_TRUE(text) << name;
    const Bytes bytes(text->begin(), text->end());
    ASSERT_TRUE(flatbuffers_accepts(bytes)) << name;
    EXPECT_NE(refusal(bytes).find("stamp"), std::string::npos) << name << ": " << refusal(bytes);
  }
}

TEST(PayloadType, AnEventThatDoesNotTellItsPayloadIsRefused) {
  FlatBufferBuilder fbb;
  const auto text = fbb.CreateString("text");
  Bytes bytes =
      finish_event(fbb, Payload::SchedulerLine, CreateSchedulerLine(fbb, OutputStream::Stdout, text).Union());
  const size_t entry = root_vtable_entry(bytes, 3);
  bytes[entry] = bytes[entry + 1] = 0;  // absent, so NONE
  ASSERT_TRUE(flatbuffers_accepts(bytes));
  EXPECT_NE(refusal(bytes).find("no payload type"), std::string::npos) << refusal(bytes);
}

TEST(UnpackBound, OneStringNamedByManyVectorElements) {
  FlatBufferBuilder fbb;
  const std::vector<Offset<flatbuffers::String>> argv(1000, fbb.CreateString(std::string(1000, 'x')));
  const auto vector = fbb.CreateVector(argv);
  SchedulerStartedBuilder started(fbb);
  started.add_argv(vector);
  expect_a_bomb(finish_event(fbb, Payload::SchedulerStarted, started.Finish().Union()));
}

TEST(UnpackBound, OneByteVectorNamedByManyTables) {
  FlatBufferBuilder fbb;
  const auto data = fbb.CreateVector(std::vector<uint8_t>(10'000, 1));
  std::vector<Offset<ProbeValue>> values;
  for (int i = 0; i < 100; ++i) {
    ProbeValueBuilder value(fbb);
    value.add_data(data);
    values.push_back(value.Finish());
  }
  const auto vector = fbb.CreateVector(values);
  ProbeHitBuilder hit(fbb);
  hit.add_values(vector);
  expect_a_bomb(finish_event(fbb, Payload::ProbeHit, hit.Finish().Union()));
}

TEST(UnpackBound, OneStringNamedByTheFieldsOfATable) {
  FlatBufferBuilder fbb;
  const auto text = fbb.CreateString(std::string(5000, 'x'));
  BpfProgramBuilder program(fbb);
  program.add_name(text);
  program.add_tag(text);
  program.add_member(text);
  expect_a_bomb(finish_event(fbb, Payload::BpfProgram, program.Finish().Union()));
}

TEST(UnpackBound, WhatOurOwnProgramsWritePasses) {
  const EventHead head{.run_id = "run", .source = "guest"};
  BpfProgramT program;
  for (int i = 0; i < 1000; ++i) {
    program.functions.push_back(std::make_unique<BpfFunctionT>());  // empty: the least a table takes
    program.lines.push_back(std::make_unique<LineInfoT>());
    program.lines.back()->text = std::string(static_cast<size_t>(i % 9), 'x');
    program.lines.back()->file = "f";
  }
  EXPECT_TRUE(passes(make_event(head, std::move(program))));
  BpfBtfT btf;
  btf.data.assign(100'000, 1);
  EXPECT_TRUE(passes(make_event(head, std::move(btf))));
  WorkerReportT report;
  report.cpus = {1, 2, 3};
  EXPECT_TRUE(passes(make_event(head, std::move(report))));
  ProbeHitT hit;
  hit.raw_args = {1, 2, 3};
  for (int i = 0; i < 50; ++i) {
    hit.values.push_back(std::make_unique<ProbeValueT>());
    hit.values.back()->data.assign(static_cast<size_t>(i), 7);
  }
  EXPECT_TRUE(passes(make_event(head, std::move(hit))));
  ProbeTriggeredT triggered;
  triggered.stack.assign(100, "");
  EXPECT_TRUE(passes(make_event(head, std::move(triggered))));
  EXPECT_TRUE(passes(make_event({}, GuestFinishedT{})));
}

}  // namespace
}  // namespace ktstr
