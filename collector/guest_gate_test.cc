// What GuestGate lets pass of buffers that the FlatBuffers verifier accepts.
#include "collector/guest_gate.h"

#include <gtest/gtest.h>

#include "base/small_files.h"
#include "schemas/testing/bent_buffers.h"

namespace ktstr {
namespace {

TEST(GuestGate, AProgramWhoseLinesAreAllOneLineIsRefused) {
  for (const char* run_id : {"run", "other"}) {  // a wrong run_id has the gate unpack it
    GuestGate gate({.run_id = "run"});
    EXPECT_FALSE(gate.admit(program_of_one_line(900'000, 4u << 20, run_id), 1)) << run_id;
    EXPECT_EQ(gate.refused(), 1u);
    EXPECT_NE(gate.first_refusal().find("BpfProgram"), std::string::npos) << gate.first_refusal();
    EXPECT_TRUE(gate.admit(program_of_one_line(1, 4u << 20, run_id), 1)) << run_id;
  }
}

// Whatever the host stamps, what passes verifies as it is then: else collector, log and readers would follow a reference that
// nobody verified.
TEST(GuestGate, WhatPassesVerifiesAsItIsStamped) {
  size_t refused = 0;
  for (const auto& bent : stamps_over_another_part("run")) {
    GuestGate gate({.run_id = "run", .vm = Vm::Repro, .attempt = 255});
    auto event = gate.admit(bent, 0xffff'ffff'ffff'ffff);
    refused += event ? 0 : 1;
    if (!event) continue;
    event->stamp_seq(0x1234'5678'9abc'def0);
    EXPECT_TRUE(EventBuffer::from_bytes(event->bytes())) << "no longer verifies";
    EXPECT_EQ(str((*event)->run_id()), "run");
  }
  EXPECT_GT(refused, 10u) << "the stamps lay apart: nothing was tried";
}

TEST(GuestGate, PoisonedFramesOfARealAttackAreRefused) {
  for (const char* name :
       {"guest-poison-col", "guest-poison-dump", "guest-poison-sched", "guest-poison-seq0"}) {
    auto bytes = read_binary(std::string(KTSTR_BENT_EVENTS) + "/" + name + ".event", 4096);
    ASSERT_TRUE(bytes) << name;
    GuestGate gate({.run_id = "run"});
    EXPECT_FALSE(gate.admit({reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()}, 1)) << name;
    EXPECT_NE(gate.first_refusal().find("stamp"), std::string::npos) << gate.first_refusal();
  }
}

}  // namespace
}  // namespace ktstr
