// One event from outside: what from_bytes() lets pass verifies with any stamp, unpacks and prints to a bounded size.
#include "schemas/event_generated.h"
#include "schemas/event_json.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {

std::vector<Input> seeds() {
  std::vector<Input> out;
  for (const EventBuffer& event : sample_events()) out.push_back(input_of(event));
  return out;
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  auto event = EventBuffer::from_bytes({data, size});
  if (!event) return 0;
  for (uint64_t word : {uint64_t{0}, uint64_t{0x0101010101010101}, ~uint64_t{0}}) {
    event->stamp_seq(word);
    event->stamp_host_ns(word);
    event->stamp_origin(static_cast<Vm>(word & 0xff), static_cast<uint8_t>(word));
    fuzz::must(EventBuffer::from_bytes(event->bytes()).ok(), "an event does not verify as it is stamped");
  }
  EventT object;
  event->get().UnPackTo(&object);
  // A byte of a string is six of JSON at most, a word of a vector twenty.
  fuzz::must(event_json_line(*event).size() <= 4096 + 64 * size, "an event prints to far more than it is");
  return 0;
}
