// What a guest says to its host: the channel's bytes, frames with right checksums, console text. Everything that the intake
// publishes verifies, is of a kind that a guest or the collector states, and names our run.
#include "collector/vm_intake.h"
#include "schemas/event_generated.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {

std::vector<Input> seeds() {
  std::vector<Input> events;
  for (const EventBuffer& event : sample_events()) events.push_back(input_of(event));
  std::vector<Input> out{join(events)};
  std::vector<uint8_t> frames;
  for (const Input& event : events) {
    append_frame(event, frames);
    out.push_back(join({event, event}));
  }
  out.push_back(std::move(frames));
  out.push_back(
      input_of("[    1.0] sched_ext: BPF scheduler \"x\" disabled (runtime error)\n[    1.1] sched_ext: x: "
               "invalid DSQ\n"
               "[    1.2]    scx_exit+0x1/0x2\n[    2.0] BUG: kernel NULL pointer dereference, address: 0\n[ "
               "   2.1] Oops: int3: 0000 [#1]\n"));
  return out;
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  using namespace ktstr::fuzz;
  VmIntake intake(
      {.vm = Vm::Repro,
       .attempt = 3,
       .head = [] { return EventHead{.run_id = "run", .source = "collector", .host_ns = 5}; },
       .publish =
           [](EventBuffer event) {
             event.stamp_seq(0x0102030405060708);
             must(EventBuffer::from_bytes(event.bytes()).ok(), "a published event does not verify");
             must(str(event->run_id()) == "run", "a guest named its run");
             must(event.vm() == Vm::Repro && event->stamp()->attempt() == 3, "a guest chose its VM");
             const bool collectors = str(event->source()) == "collector";
             must(collectors || guest_may_send(event.type()), "a guest stated what it may not");
             must(!collectors || !guest_may_send(event.type()) || event.type() == Payload::StageReached,
                  "a guest spoke as the collector");
           }});
  std::vector<uint8_t> frames;
  for (auto piece : pieces({data, size})) append_frame(piece, frames);
  intake.on_channel(frames);
  intake.on_channel({data, size});
  intake.on_console(text_of({data, size}));
  intake.end_console();
  intake.end_channel();
  intake.finish();
  return 0;
}
