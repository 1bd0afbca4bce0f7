// Buffers that the FlatBuffers verifier accepts and that would unpack to far more than they are.
#include "schemas/unpack_bound.h"

#include <gtest/gtest.h>

#include "collector/guest_gate.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

EventBuffer finish(FlatBufferBuilder& fbb, Payload type, Offset<void> payload, const char* run_id = "run") {
  const auto run = fbb.CreateString(run_id), source = fbb.CreateString("guest");
  const Stamp stamp(0, 0, 0, Vm::Host, 0);
  FinishEventBuffer(fbb, CreateEvent(fbb, &stamp, run, source, type, payload));
  auto event = EventBuffer::from_bytes({fbb.GetBufferPointer(), fbb.GetSize()});
  EXPECT_TRUE(event) << "the verifier must accept it: that is the point";
  return std::move(*event);
}

EventBuffer program_of_one_line(size_t references, size_t text_size, const char* run_id) {
  FlatBufferBuilder fbb;
  const auto text = fbb.CreateString(std::string(text_size, 'x'));
  LineInfoBuilder line(fbb);
  line.add_text(text);
  const std::vector<Offset<LineInfo>> lines(references, line.Finish());
  const auto all = fbb.CreateVector(lines);
  const auto name = fbb.CreateString("p"), tag = fbb.CreateString("t");
  BpfProgramBuilder program(fbb);
  program.add_name(name);
  program.add_tag(tag);
  program.add_lines(all);
  return finish(fbb, Payload::BpfProgram, program.Finish().Union(), run_id);
}

TEST(GuestGate, AProgramWhoseLinesAreAllOneLineIsRefused) {
  for (const char* run_id : {"run", "other"}) {  // a wrong run_id has the gate unpack it
    GuestGate gate({.run_id = "run"});
    EXPECT_FALSE(gate.admit(program_of_one_line(900'000, 4u << 20, run_id).bytes(), 1)) << run_id;
    EXPECT_EQ(gate.refused(), 1u);
    EXPECT_NE(gate.first_refusal().find("BpfProgram"), std::string::npos) << gate.first_refusal();
    EXPECT_TRUE(gate.admit(program_of_one_line(1, 4u << 20, run_id).bytes(), 1)) << run_id;
  }
}

TEST(UnpackBound, OneStringNamedByManyVectorElements) {
  FlatBufferBuilder fbb;
  const std::vector<Offset<flatbuffers::String>> argv(1000, fbb.CreateString(std::string(1000, 'x')));
  const auto vector = fbb.CreateVector(argv);
  SchedulerStartedBuilder started(fbb);
  started.add_argv(vector);
  EXPECT_FALSE(unpacks_within_its_size(finish(fbb, Payload::SchedulerStarted, started.Finish().Union())));
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
  EXPECT_FALSE(unpacks_within_its_size(finish(fbb, Payload::ProbeHit, hit.Finish().Union())));
}

TEST(UnpackBound, OneStringNamedByTheFieldsOfATable) {
  FlatBufferBuilder fbb;
  const auto text = fbb.CreateString(std::string(5000, 'x'));
  BpfProgramBuilder program(fbb);
  program.add_name(text);
  program.add_tag(text);
  program.add_member(text);
  EXPECT_FALSE(unpacks_within_its_size(finish(fbb, Payload::BpfProgram, program.Finish().Union())));
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
  EXPECT_TRUE(unpacks_within_its_size(make_event(head, std::move(program))));
  BpfBtfT btf;
  btf.data.assign(100'000, 1);
  EXPECT_TRUE(unpacks_within_its_size(make_event(head, std::move(btf))));
  WorkerReportT report;
  report.cpus = {1, 2, 3};
  EXPECT_TRUE(unpacks_within_its_size(make_event(head, std::move(report))));
  ProbeHitT hit;
  hit.raw_args = {1, 2, 3};
  for (int i = 0; i < 50; ++i) {
    hit.values.push_back(std::make_unique<ProbeValueT>());
    hit.values.back()->data.assign(static_cast<size_t>(i), 7);
  }
  EXPECT_TRUE(unpacks_within_its_size(make_event(head, std::move(hit))));
  ProbeTriggeredT triggered;
  triggered.stack.assign(100, "");
  EXPECT_TRUE(unpacks_within_its_size(make_event(head, std::move(triggered))));
  EXPECT_TRUE(unpacks_within_its_size(make_event({}, GuestFinishedT{})));
}

}  // namespace
}  // namespace ktstr
