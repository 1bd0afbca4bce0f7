// The parts of ktstr-init that need no VM.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstddef>
#include <fstream>

#include "guest/init/event_channel.h"
#include "guest/init/notify_filter.h"
#include "guest/init/trace_line.h"
#include "schemas/frame_codec.h"
#include "schemas/guest_generated.h"

namespace ktstr::guest {
namespace {

TEST(ParseTraceLine, AllFields) {
  auto line = parse_trace_line(
      "            init-218     [001] d.H3.     9.638319: sched_ext_dump: init[218] triggered exit kind "
      "1025:");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->comm, "init");
  EXPECT_EQ(line->pid, 218);
  EXPECT_EQ(line->cpu, 1);
  EXPECT_EQ(line->ns, 9'638'319'000u);
  EXPECT_EQ(line->text, "init[218] triggered exit kind 1025:");
}

TEST(ParseTraceLine, TextKeepsItsIndentAndMayBeEmpty) {
  EXPECT_EQ(parse_trace_line("  <idle>-0  [000] d.h2.  2.666499: sched_ext_dump:   scx_exit+0x1/0x2")->text,
            "  scx_exit+0x1/0x2");
  EXPECT_EQ(parse_trace_line("  <idle>-0  [000] d.h2.  2.666499: sched_ext_dump: ")->text, "");
  EXPECT_EQ(parse_trace_line("  <idle>-0  [000] d.h2.  2.666499: sched_ext_dump:")->text, "");
  EXPECT_EQ(parse_trace_line("  <idle>-0  [000] d.h2.  2.666499: sched_ext_dump: a: sched_ext_dump: b")->text,
            "a: sched_ext_dump: b");
}

TEST(ParseTraceLine, AnyComm) {
  auto line = parse_trace_line(" kworker/u16:2-41  [002] d.h1.  5.435456: sched_ext_dump: x");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->comm, "kworker/u16:2");
  line = parse_trace_line("  a b-[1]-77   [012] .....  5.435456: sched_ext_dump: x");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->comm, "a b-[1]");
  EXPECT_EQ(line->pid, 77);
  EXPECT_EQ(line->cpu, 12);
}

TEST(ParseTraceLine, OtherLines) {
  for (const char* text :
       {"", "CPU:0 [LOST 12 EVENTS]", " x-1 [000] d.h1. 5.4: bpf_trace_printk: hello", ": sched_ext_dump: x",
        "5.435456: sched_ext_dump: x", "x-1 5.435456: sched_ext_dump: x"})
    EXPECT_FALSE(parse_trace_line(text)) << text;
}

TEST(ParseTraceLine, AllDumpLinesOfARealTrace) {
  std::ifstream file(KTSTR_TRACE_SAMPLE);
  ASSERT_TRUE(file.is_open());
  int lines = 0;
  for (std::string text; std::getline(file, text);) {
    EXPECT_TRUE(parse_trace_line(text)) << text;
    ++lines;
  }
  EXPECT_GT(lines, 20);
}

// What the kernel would answer, by running the filter's instructions.
uint32_t run_filter(const seccomp_data& data) {
  const auto program = notify_filter();
  uint32_t a = 0;
  for (size_t pc = 0; pc < program.size(); ++pc) {
    const sock_filter& i = program[pc];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, sizeof(a));
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        pc += a == i.k ? i.jt : i.jf;
        break;
      case BPF_RET | BPF_K:
        return i.k;
      default:
        ADD_FAILURE() << "unknown instruction";
        return 0;
    }
  }
  ADD_FAILURE() << "the filter runs off its end";
  return 0;
}

TEST(NotifyFilter, OnlyBpfLinkCreate) {
  auto call = [](uint32_t arch, int nr, uint64_t cmd) {
    seccomp_data data{};
    data.arch = arch;
    data.nr = nr;
    data.args[0] = cmd;
    return run_filter(data);
  };
  EXPECT_EQ(call(AUDIT_ARCH_X86_64, __NR_bpf, BPF_LINK_CREATE), SECCOMP_RET_USER_NOTIF);
  for (uint64_t cmd :
       {BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_PROG_LOAD, BPF_LINK_UPDATE})
    EXPECT_EQ(call(AUDIT_ARCH_X86_64, __NR_bpf, cmd), SECCOMP_RET_ALLOW);
  EXPECT_EQ(call(AUDIT_ARCH_X86_64, __NR_read, BPF_LINK_CREATE), SECCOMP_RET_ALLOW);
  EXPECT_EQ(call(AUDIT_ARCH_I386, __NR_bpf, BPF_LINK_CREATE), SECCOMP_RET_ALLOW);
}

// A host that takes at most `at_once` bytes a write, and nothing while `stuck`.
class FakeCarrier : public Carrier {
 public:
  struct State {
    std::vector<uint8_t> received;
    size_t at_once = 1000;
    bool stuck = false;
  };
  explicit FakeCarrier(State& state) : state_(state) {}
  std::string name() const override { return "fake"; }
  Result<size_t> write(std::span<const uint8_t> bytes) override {
    const size_t n = state_.stuck ? 0 : std::min(state_.at_once, bytes.size());
    state_.received.insert(state_.received.end(), bytes.begin(),
                           bytes.begin() + static_cast<std::ptrdiff_t>(n));
    return n;
  }
  bool wait_writable(int) override { return !state_.stuck; }
  bool flush(int) override { return true; }

 private:
  State& state_;
};

TEST(EventChannel, EveryEventArrivesInOrder) {
  FakeCarrier::State host;
  EventChannel channel(std::make_unique<FakeCarrier>(host));
  channel.identify("run", Vm::Primary, 0);
  for (uint32_t i = 0; i < 500; ++i) {
    PhaseStartedT phase;
    phase.name = "phase";
    phase.index = i;
    channel.send(std::move(phase), i);
  }
  EXPECT_TRUE(channel.drain(10));
  FrameDecoder decoder;
  decoder.feed(host.received);
  uint32_t next = 0;
  while (auto payload = decoder.next()) {
    auto event = EventBuffer::from_bytes(*payload);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->as<PhaseStarted>()->index(), next);
    EXPECT_EQ(event->get().stamp()->guest_ns(), next);
    EXPECT_EQ(str(event->get().run_id()), "run");
    ++next;
  }
  EXPECT_EQ(next, 500u);
  EXPECT_EQ(decoder.damaged(), 0u);
}

TEST(EventChannel, AHostThatDoesNotReadCostsEventsNotMemory) {
  FakeCarrier::State host{.stuck = true};
  EventChannel channel(std::make_unique<FakeCarrier>(host));
  const std::vector<uint8_t> event(1 << 20);
  for (int i = 0; i < 100; ++i) channel.send_payload(event);
  EXPECT_GT(channel.dropped(), 80u);
  EXPECT_EQ(channel.frames() + channel.dropped(), 100u);
  EXPECT_FALSE(channel.drain(1));
  host.stuck = false;
  host.at_once = 1 << 20;
  EXPECT_TRUE(channel.drain(1));
  FrameDecoder decoder;
  decoder.feed(host.received);
  uint64_t whole = 0;
  while (decoder.next()) ++whole;
  EXPECT_EQ(whole, channel.frames());
}

}  // namespace
}  // namespace ktstr::guest
