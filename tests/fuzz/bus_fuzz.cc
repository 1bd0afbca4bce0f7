// What a client of the bus sends: bytes of ZMTP cut anywhere, and messages that the gate decides on.
#include <algorithm>
#include <cstring>

#include "launcher/hub/client_gate.h"
#include "launcher/hub/zmtp.h"
#include "schemas/event_generated.h"
#include "tests/fuzz/fuzz_kit.h"

namespace ktstr::fuzz {
namespace {

class Stranger : public Sender {
 public:
  explicit Stranger(int connection) : connection_(connection) {}
  int connection() const override { return connection_; }
  std::string description() const override { return "process 42"; }

 private:
  int connection_;
};

Input hello() {
  Input out(64, 0);
  out[0] = 0xff;
  out[9] = 0x7f;
  out[10] = 3;
  std::memcpy(out.data() + 12, "NULL", 4);
  const std::string ready("\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH", 28);
  out.insert(out.end(), ready.begin(), ready.end());
  return out;
}

}  // namespace

std::vector<Input> seeds() {
  Input stream = hello();
  std::vector<Input> messages;
  for (const EventBuffer& event : sample_events()) {
    messages.push_back(input_of(event));
    if (event.bytes().size() > 255) continue;
    stream.push_back(0);
    stream.push_back(static_cast<uint8_t>(event.bytes().size()));
    stream.insert(stream.end(), event.bytes().begin(), event.bytes().end());
  }
  ClientJoinedT joined;
  joined.name = "client";
  joined.client = "token";
  joined.schema_version = kSchemaVersion;
  messages.push_back(input_of(make_event({.run_id = "run", .source = "client"}, std::move(joined))));
  return {stream, join(messages), hello()};
}

}  // namespace ktstr::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace ktstr;
  using namespace ktstr::fuzz;
  ZmtpReceiver zmtp({.message = 100'000});
  uint8_t scratch[256];
  size_t heard = 0;
  for (size_t at = 0; at < size;) {
    auto room = zmtp.room(scratch);
    must(!room.empty(), "no room is left");
    const size_t n = std::min({room.size(), size - at, size_t{1} + data[at] % 97});
    std::memcpy(room.data(), data + at, n);
    at += n;
    if (!zmtp.received(n, [&](std::span<const uint8_t> bytes, size_t) { heard += bytes.size(); })) break;
    must(zmtp.held() <= 2 * (at + sizeof scratch), "a frame holds more than came");
  }
  must(heard <= size, "more was heard than sent");
  ClientGate gate("run");
  int connection = 0;
  for (auto piece : pieces({data, size})) {
    const Stranger sender(connection++ % 3);
    auto event = gate.admit(piece, sender);
    if (!event) continue;
    must(!is_own_source(str((*event)->source())), "a stranger spoke as one of ours");
    must(source_may_state(str((*event)->source()), event->type()), "a stranger stated what it may not");
    event->stamp_seq(~uint64_t{0});
    must(EventBuffer::from_bytes(event->bytes()).ok(), "an admitted event does not verify");
  }
  (void)gate.due(UINT64_MAX);
  return 0;
}
