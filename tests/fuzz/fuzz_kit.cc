#include "tests/fuzz/fuzz_kit.h"

#include <algorithm>
#include <cstring>

#include "schemas/client_generated.h"
#include "schemas/crash_generated.h"
#include "schemas/event_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/repro_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"
#include "schemas/workload_generated.h"

namespace ktstr::fuzz {
namespace {

uint32_t word_at(const Input& input, size_t at) {
  uint32_t word = 0;
  std::memcpy(&word, input.data() + at, sizeof word);
  return word;
}
void put_word(Input& input, size_t at, uint32_t word) { std::memcpy(input.data() + at, &word, sizeof word); }

}  // namespace

void mutate(Input& input, std::mt19937& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  for (size_t n = 1 + below(3); n > 0; --n) {
    if (input.size() < 8) {
      input.push_back(static_cast<uint8_t>(random()));
      continue;
    }
    const size_t at = below(input.size()), words = input.size() / 4, word = 4 * below(words);
    switch (random() % 9) {
      case 0:
        input[at] = static_cast<uint8_t>(random());
        break;
      case 1:
        input[at] = static_cast<uint8_t>(input[at] ^ 1u << below(8));
        break;
      case 2:  // an offset to another place
        put_word(input, word, static_cast<uint32_t>(below(input.size() - word + 8)));
        break;
      case 3:  // a small change of an offset, a length, a number
        put_word(input, word, word_at(input, word) + static_cast<uint32_t>(below(17)) - 8);
        break;
      case 4:  // what stands at another place
        put_word(input, word, word_at(input, 4 * below(words)));
        break;
      case 5: {  // an entry of a vtable
        const auto entry = static_cast<uint16_t>(below(64));
        std::memcpy(input.data() + 2 * below(input.size() / 2), &entry, sizeof entry);
        break;
      }
      case 6:
        put_word(input, word, random() % 2 ? 0xffffffff : 0x80000000u >> below(32));
        break;
      case 7: {  // a part again
        const size_t length = 1 + below(std::min<size_t>(64, input.size() - at));
        const Input part(input.begin() + static_cast<std::ptrdiff_t>(at),
                         input.begin() + static_cast<std::ptrdiff_t>(at + length));
        input.insert(input.begin() + static_cast<std::ptrdiff_t>(below(input.size())), part.begin(),
                     part.end());
        break;
      }
      default: {  // a part less
        const size_t length = 1 + below(std::min<size_t>(64, input.size() - at));
        input.erase(input.begin() + static_cast<std::ptrdiff_t>(at),
                    input.begin() + static_cast<std::ptrdiff_t>(at + length));
      }
    }
  }
}

std::vector<std::span<const uint8_t>> pieces(std::span<const uint8_t> input) {
  std::vector<std::span<const uint8_t>> out;
  while (input.size() >= 2 && out.size() < 256) {
    const size_t length = std::min<size_t>(input[0] | input[1] << 8, input.size() - 2);
    out.push_back(input.subspan(2, length));
    input = input.subspan(2 + length);
  }
  return out;
}

Input join(const std::vector<Input>& pieces) {
  Input out;
  for (const Input& piece : pieces) {
    out.push_back(static_cast<uint8_t>(piece.size()));
    out.push_back(static_cast<uint8_t>(piece.size() >> 8));
    out.insert(out.end(), piece.begin(), piece.end());
  }
  return out;
}

std::vector<EventBuffer> sample_events() {
  std::vector<EventBuffer> out;
  uint64_t seq = 0;
  auto add = [&](auto fact, Vm vm = Vm::Primary, const char* source = "guest") {
    out.push_back(make_event(
        {.run_id = "run", .source = source, .vm = vm, .host_ns = 1'000'000 * ++seq, .guest_ns = seq},
        std::move(fact)));
    out.back().stamp_seq(seq);
  };
  RunStartedT started;
  started.run_id = "run";
  started.spec = std::make_unique<TestSpecT>();
  started.spec->name = "test";
  started.spec->scheduler = std::make_unique<SchedulerSpecT>();
  started.spec->scheduler->name = "x";
  started.spec->topology = std::make_unique<TopologyT>();
  started.kernel = std::make_unique<KernelInfoT>();
  started.accelerator = std::make_unique<AcceleratorInfoT>();
  started.host = std::make_unique<HostInfoT>();
  started.command = {"ktstr-launch", "run"};
  add(std::move(started), Vm::Host, "launcher");
  add(VmStartedT{}, Vm::Primary, "launcher");
  ConsoleLineT console;
  console.text = "[    0.100000] Linux version 7.3.4";
  add(std::move(console), Vm::Primary, "collector");
  StageReachedT stage;
  stage.stage = Stage::WorkloadStarted;
  add(std::move(stage));
  SchedulerStartedT scheduler;
  scheduler.argv = {"scx_x", "-v"};
  add(std::move(scheduler));
  add(SchedulerAttachedT{});
  SchedulerLineT line;
  line.text = "libbpf: prog 'x_enqueue': BPF program load failed: -13";
  add(std::move(line));
  DumpLineT dump;
  dump.text = "x[7] triggered exit kind 1025:";
  add(std::move(dump));
  BpfProgramT program;
  program.name = "x_enqueue";
  program.tag = "00aa";
  program.member = "enqueue";
  for (int i = 0; i < 2; ++i) {
    program.lines.push_back(std::make_unique<LineInfoT>());
    program.lines.back()->text = "spend(p);";
    program.lines.back()->file = "x.bpf.c";
    program.functions.push_back(std::make_unique<BpfFunctionT>());
  }
  add(std::move(program));
  BpfBtfT btf;
  btf.data.assign(80, 7);
  add(std::move(btf));
  WorkerReportT report;
  report.cpus = {0, 1};
  add(std::move(report));
  CollectorLineT collected;
  collected.name = "irqs";
  collected.text = "line";
  add(std::move(collected));
  MonitorSampleT sample;
  sample.cpus.push_back(std::make_unique<CpuSampleT>());
  sample.cpus.back()->nr_running = 2;
  add(std::move(sample), Vm::Primary, "monitor");
  CrashDetectedT crash;
  crash.reason = "scx_bpf_error";
  crash.message = "no such cell";
  crash.backtrace.push_back(std::make_unique<ChainFrameT>());
  crash.backtrace.back()->function = "x_enqueue";
  add(std::move(crash), Vm::Primary, "collector");
  ProbeHitT hit;
  hit.raw_args = {1, 2};
  hit.values.push_back(std::make_unique<ProbeValueT>());
  hit.values.back()->data = {1, 2, 3};
  add(std::move(hit), Vm::Repro);
  ProbeTriggeredT triggered;
  triggered.stack = {"scx_exit", "x_enqueue"};
  add(std::move(triggered), Vm::Repro);
  ReproFinishedT repro;
  repro.calls.push_back(std::make_unique<DecodedCallT>());
  repro.calls.back()->function = "x_enqueue";
  repro.calls.back()->values.push_back(std::make_unique<DecodedValueT>());
  add(std::move(repro), Vm::Host, "reproer");
  GuestCommandRequestedT command;
  command.name = "ls";
  command.argv = {"/bin/ls", "-l"};
  add(std::move(command), Vm::Primary, "client");
  add(VmExitedT{}, Vm::Primary, "launcher");
  return out;
}

}  // namespace ktstr::fuzz
