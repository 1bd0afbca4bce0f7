// Buffers that the FlatBuffers verifier accepts although they are traps. For tests of what stands behind the verifier.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "schemas/envelope.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"

namespace ktstr {

using Bytes = std::vector<uint8_t>;

inline bool flatbuffers_accepts(const Bytes& bytes) {
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), 32, 1'000'000);
  return VerifyEventBuffer(verifier);
}

inline Bytes finish_event(flatbuffers::FlatBufferBuilder& fbb, Payload type,
                          flatbuffers::Offset<void> payload, const char* run_id = "run") {
  const auto run = fbb.CreateString(run_id), source = fbb.CreateString("guest");
  const Stamp stamp(0, 0, 0, Vm::Host, 0);
  FinishEventBuffer(fbb, CreateEvent(fbb, &stamp, run, source, type, payload));
  Bytes bytes(fbb.GetBufferPointer(), fbb.GetBufferPointer() + fbb.GetSize());
  EXPECT_TRUE(flatbuffers_accepts(bytes)) << "that is the point";
  return bytes;
}

// A BpfProgram with `references` lines, which are all one line of `text_size` bytes.
inline Bytes program_of_one_line(size_t references, size_t text_size, const char* run_id) {
  flatbuffers::FlatBufferBuilder fbb;
  const auto text = fbb.CreateString(std::string(text_size, 'x'));
  LineInfoBuilder line(fbb);
  line.add_text(text);
  const std::vector<flatbuffers::Offset<LineInfo>> lines(references, line.Finish());
  const auto all = fbb.CreateVector(lines);
  const auto name = fbb.CreateString("p"), tag = fbb.CreateString("t");
  BpfProgramBuilder program(fbb);
  program.add_name(name);
  program.add_tag(tag);
  program.add_lines(all);
  return finish_event(fbb, Payload::BpfProgram, program.Finish().Union(), run_id);
}

// The place of a field's two bytes in the vtable of the root.
inline size_t root_vtable_entry(const Bytes& bytes, size_t field) {
  uint32_t root = 0;
  int32_t back = 0;
  std::memcpy(&root, bytes.data(), sizeof root);
  std::memcpy(&back, bytes.data() + root, sizeof back);
  return root - static_cast<size_t>(back) + 4 + 2 * field;
}

// `bytes` with the stamp at each place where the verifier accepts it: over payload, strings, vtables, other fields.
inline std::vector<Bytes> with_the_stamp_everywhere(Bytes bytes) {
  std::vector<Bytes> all;
  bytes.resize((bytes.size() + 7) / 8 * 8 + 64);  // room for a stamp behind all else
  const size_t entry = root_vtable_entry(bytes, 0);
  for (uint32_t offset = 1; offset < bytes.size(); ++offset) {
    const auto at = static_cast<uint16_t>(offset);
    std::memcpy(bytes.data() + entry, &at, sizeof at);
    if (flatbuffers_accepts(bytes)) all.push_back(bytes);
  }
  return all;
}

inline std::vector<Bytes> stamps_over_another_part(const char* run_id) {
  std::vector<Bytes> all = with_the_stamp_everywhere(program_of_one_line(2, 20, run_id));
  {
    flatbuffers::FlatBufferBuilder fbb;
    const auto text = fbb.CreateString("a line of the scheduler");
    for (Bytes& bent : with_the_stamp_everywhere(
             finish_event(fbb, Payload::SchedulerLine,
                          CreateSchedulerLine(fbb, OutputStream::Stdout, text).Union(), run_id)))
      all.push_back(std::move(bent));
  }
  {
    flatbuffers::FlatBufferBuilder fbb;
    const std::vector<flatbuffers::Offset<flatbuffers::String>> argv{fbb.CreateString("scx_x"),
                                                                     fbb.CreateString("-v")};
    const auto vector = fbb.CreateVector(argv);
    SchedulerStartedBuilder started(fbb);
    started.add_argv(vector);
    for (Bytes& bent : with_the_stamp_everywhere(
             finish_event(fbb, Payload::SchedulerStarted, started.Finish().Union(), run_id)))
      all.push_back(std::move(bent));
  }
  return all;
}

}  // namespace ktstr
