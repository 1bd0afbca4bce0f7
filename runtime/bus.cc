#include "runtime/bus.h"

#include <charconv>
#include <zmq.hpp>

#include "schemas/client_generated.h"

namespace ktstr {
namespace {

// Messages: bounds memory on either side of a pipe. The hub's side of ingest is as narrow (launcher/hub/hub.cc).
constexpr int kSendHighWater = 256;
constexpr int kReceiveHighWater = 4096;
constexpr std::chrono::milliseconds kSayHeldAfter{1000};

}  // namespace

BusAddress BusAddress::in_folder(const std::string& folder) {
  return {"ipc://" + folder + "/ingest.sock",
          "ipc://" + folder + "/events.sock",
          "ipc://" + folder + "/repair.sock",
          {}};
}

Result<BusAddress> BusAddress::remote(const std::string& endpoint) {
  size_t colon = endpoint.rfind(':');
  constexpr std::string_view kScheme = "tcp://";
  int port = 0;
  if (endpoint.starts_with(kScheme) && colon != std::string::npos && colon > kScheme.size())
    std::from_chars(endpoint.data() + colon + 1, endpoint.data() + endpoint.size(), port);
  if (port < 1 || port > 65533)
    return Error::invalid("\"" + endpoint + "\" is no address of a bus")
        .with_hint("tcp://HOST:PORT; PORT and the next two are used");
  auto at = [&](int n) { return endpoint.substr(0, colon + 1) + std::to_string(port + n); };
  return BusAddress{at(1), at(0), at(2), {}};
}

Publisher::Publisher(std::optional<PushSocket> local, std::unique_ptr<zmq::socket_t> remote)
    : local_(std::move(local)), remote_(std::move(remote)) {}
Publisher::Publisher(Publisher&&) noexcept = default;
Publisher& Publisher::operator=(Publisher&&) noexcept = default;
Publisher::~Publisher() = default;

Result<Publisher> Publisher::connect(zmq::context_t& context, const BusAddress& address) {
  if (address.ingest.starts_with("ipc://")) {
    auto local = PushSocket::connect(address.ingest);
    if (!local) return std::move(local).error();
    return Publisher(std::move(local).value(), nullptr);
  }
  try {
    auto socket = std::make_unique<zmq::socket_t>(context, zmq::socket_type::push);
    socket->set(zmq::sockopt::sndhwm, kSendHighWater);
    // What is queued at the end is still delivered, unless the hub is gone for good.
    socket->set(zmq::sockopt::linger, 5000);
    if (address.key) use_client_key(*socket, *address.key);
    socket->connect(address.ingest);
    return Publisher(std::nullopt, std::move(socket));
  } catch (const zmq::error_t& e) {
    return Error::system("connect to " + address.ingest + ": " + e.what());
  }
}

Result<bool> Publisher::try_send(const EventBuffer& event, std::chrono::milliseconds patience) {
  auto bytes = event.bytes();
  if (local_) return local_->send(bytes, patience);
  try {
    remote_->set(zmq::sockopt::sndtimeo, static_cast<int>(patience.count()));
    return remote_->send(zmq::const_buffer(bytes.data(), bytes.size()), zmq::send_flags::none).has_value();
  } catch (const zmq::error_t& e) {
    if (e.num() != EINTR) return Error::system(e.what());
    return false;
  }
}

Status Publisher::send_waiting(const EventBuffer& event) {
  auto begin = std::chrono::steady_clock::now();
  auto looked = begin;
  while (true) {
    auto sent = try_send(event, kSayHeldAfter);
    if (!sent) return std::move(sent).error();
    auto now = std::chrono::steady_clock::now();
    if (*sent) {
      ++held_events_;
      held_ += now - begin;
      return {};
    }
    if (now - looked < kSayHeldAfter) continue;  // a signal, not the time-out
    looked = now;
    ++held_back_;
    if (give_up_ && give_up_()) return Error::system("the hub takes nothing more");
  }
}

Status Publisher::publish(const EventBuffer& event) {
  auto send = [this](const EventBuffer& e) -> Status {
    auto sent = try_send(e, std::chrono::milliseconds(0));
    if (!sent) return std::move(sent).error().within("publish");
    if (*sent) return {};
    auto waited = send_waiting(e);
    return waited ? std::move(waited) : std::move(waited).error().within("publish");
  };
  if (auto s = send(event); !s || held_ < kSayHeldAfter) return s;
  ProducerHeldT held;
  held.events = std::exchange(held_events_, 0);
  held.held_ns = static_cast<uint64_t>(std::exchange(held_, {}).count());
  // host_ns 0: the hub says when it came.
  return send(make_event(
      {.run_id = std::string(str(event->run_id())), .source = std::string(str(event->source()))}, held));
}

Subscriber::Subscriber(std::unique_ptr<zmq::socket_t> socket, std::unique_ptr<RepairSource> repair)
    : socket_(std::move(socket)), repair_(std::move(repair)) {}
Subscriber::Subscriber(Subscriber&&) noexcept = default;
Subscriber& Subscriber::operator=(Subscriber&&) noexcept = default;
Subscriber::~Subscriber() = default;

Result<Subscriber> Subscriber::connect(zmq::context_t& context, const BusAddress& address,
                                       const std::string& log_path) {
  auto repair =
      log_path.empty() ? RepairSource::from_hub(context, address) : RepairSource::from_log(log_path);
  if (!repair) return std::move(repair).error();
  try {
    auto socket = std::make_unique<zmq::socket_t>(context, zmq::socket_type::sub);
    socket->set(zmq::sockopt::rcvhwm, kReceiveHighWater);
    socket->set(zmq::sockopt::linger, 0);
    socket->set(zmq::sockopt::subscribe, "");
    if (address.key) use_client_key(*socket, *address.key);
    socket->connect(address.events);
    return Subscriber(std::move(socket), std::move(repair).value());
  } catch (const zmq::error_t& e) {
    return Error::system("connect to " + address.events + ": " + e.what());
  }
}

int Subscriber::fd() const { return socket_->get(zmq::sockopt::fd); }

Result<std::optional<EventBuffer>> Subscriber::receive() {
  while (true) {
    if (held_ && held_->seq() <= last_seq_) held_.reset();
    if (held_ && held_->seq() == last_seq_ + 1) {
      last_seq_ = held_->seq();
      auto event = std::move(held_);
      held_.reset();
      return event;
    }
    if (known_seq_ > last_seq_) {
      auto event = repair_->get(last_seq_ + 1, known_seq_);
      if (!event) return std::move(event).error();
      ++last_seq_;
      ++repaired_;
      return std::optional<EventBuffer>(std::move(event).value());
    }
    zmq::message_t message;
    try {
      auto got = socket_->recv(message, zmq::recv_flags::dontwait);
      if (!got) return std::optional<EventBuffer>();
    } catch (const zmq::error_t& e) {
      if (e.num() == EINTR) continue;
      return Error::system(std::string("receive: ") + e.what());
    }
    heard_at_ = std::chrono::steady_clock::now();
    if (message.size() == sizeof(uint64_t)) {
      uint64_t newest = 0;
      std::memcpy(&newest, message.data(), sizeof newest);
      known_seq_ = std::max(known_seq_, newest);
      continue;
    }
    auto event = EventBuffer::from_bytes({static_cast<const uint8_t*>(message.data()), message.size()});
    if (!event) continue;  // not from our hub; the heartbeat will show what is missing
    known_seq_ = std::max(known_seq_, event->seq());
    held_ = std::move(event).value();
  }
}

}  // namespace ktstr
