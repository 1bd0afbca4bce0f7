#include "runtime/bus.h"

#include <zmq.hpp>

namespace ktstr {
namespace {

constexpr int kHighWater = 4096;  // messages: bounds memory on either side of a pipe

}  // namespace

BusAddress BusAddress::in_folder(const std::string& folder) {
  return {"ipc://" + folder + "/ingest.sock", "ipc://" + folder + "/events.sock"};
}

Publisher::Publisher(std::unique_ptr<zmq::socket_t> socket) : socket_(std::move(socket)) {}
Publisher::Publisher(Publisher&&) noexcept = default;
Publisher& Publisher::operator=(Publisher&&) noexcept = default;
Publisher::~Publisher() = default;

Result<Publisher> Publisher::connect(zmq::context_t& context, const BusAddress& address) {
  try {
    auto socket = std::make_unique<zmq::socket_t>(context, zmq::socket_type::push);
    socket->set(zmq::sockopt::sndhwm, kHighWater);
    socket->set(zmq::sockopt::sndtimeo, 1000);
    // What is queued at the end is still delivered, unless the hub is gone for good.
    socket->set(zmq::sockopt::linger, 5000);
    socket->connect(address.ingest);
    return Publisher(std::move(socket));
  } catch (const zmq::error_t& e) {
    return Error::system("connect to " + address.ingest + ": " + e.what());
  }
}

Status Publisher::publish(const EventBuffer& event) {
  try {
    auto bytes = event.bytes();
    while (true) {
      try {
        if (socket_->send(zmq::const_buffer(bytes.data(), bytes.size()))) return {};
        ++held_back_;
        if (give_up_ && give_up_()) return Error::system("publish: the hub takes nothing more");
      } catch (const zmq::error_t& e) {
        if (e.num() != EINTR) throw;
      }
    }
  } catch (const zmq::error_t& e) {
    return Error::system(std::string("publish: ") + e.what());
  }
}

Subscriber::Subscriber(std::unique_ptr<zmq::socket_t> socket, LogReader log)
    : socket_(std::move(socket)), log_(std::move(log)) {}
Subscriber::Subscriber(Subscriber&&) noexcept = default;
Subscriber& Subscriber::operator=(Subscriber&&) noexcept = default;
Subscriber::~Subscriber() = default;

Result<Subscriber> Subscriber::connect(zmq::context_t& context, const BusAddress& address,
                                       const std::string& log_path) {
  auto log = LogReader::open(log_path);
  if (!log) return std::move(log).error();
  try {
    auto socket = std::make_unique<zmq::socket_t>(context, zmq::socket_type::sub);
    socket->set(zmq::sockopt::rcvhwm, kHighWater);
    socket->set(zmq::sockopt::linger, 0);
    socket->set(zmq::sockopt::subscribe, "");
    socket->connect(address.events);
    return Subscriber(std::move(socket), std::move(log).value());
  } catch (const zmq::error_t& e) {
    return Error::system("connect to " + address.events + ": " + e.what());
  }
}

int Subscriber::fd() const { return socket_->get(zmq::sockopt::fd); }

// Reads on in the log, past what came over the bus, to the first event that is still missing.
Result<std::optional<EventBuffer>> Subscriber::from_log() {
  while (true) {
    auto event = log_.next();
    if (!event) return event;
    if (!*event) {
      if (auto damage = log_.damage(); !damage.empty() && known_seq_ > last_seq_)
        return Error::system("repair from the log: " + damage);
      return std::optional<EventBuffer>();
    }
    if ((**event).seq() <= last_seq_) continue;
    last_seq_ = (**event).seq();
    ++repaired_;
    return event;
  }
}

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
      auto event = from_log();
      // The hub tells of an event only after it stands in the log, so a hole there cannot fill later.
      if (!event || *event) return event;
      return Error::system("event " + std::to_string(last_seq_ + 1) + " was announced but is not in the log");
    }
    zmq::message_t message;
    try {
      auto got = socket_->recv(message, zmq::recv_flags::dontwait);
      if (!got) return std::optional<EventBuffer>();
    } catch (const zmq::error_t& e) {
      if (e.num() == EINTR) continue;
      return Error::system(std::string("receive: ") + e.what());
    }
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
