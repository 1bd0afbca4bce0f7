#include "runtime/repair_source.h"

#include <atomic>
#include <deque>
#include <zmq.hpp>

#include "runtime/bus.h"
#include "schemas/log_reader.h"

namespace ktstr {
namespace {

constexpr int kReplyLimitMs = 3000;
constexpr int kTries = 3;

Error not_there(uint64_t seq) {
  return Error::system("event " + std::to_string(seq) + " was announced but is not in the log");
}

// Readable once the other side has refused us.
std::unique_ptr<zmq::socket_t> watch_handshakes(zmq::context_t& context, zmq::socket_t& watched) {
  // Not the socket's address: ZeroMQ frees the name of a closed socket late, and addresses are used again.
  static std::atomic<uint64_t> count{0};
  const std::string name = "inproc://handshakes-" + std::to_string(count.fetch_add(1));
  if (zmq_socket_monitor(watched.handle(), name.c_str(),
                         ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                             ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) != 0)
    throw zmq::error_t();
  auto pair = std::make_unique<zmq::socket_t>(context, zmq::socket_type::pair);
  pair->set(zmq::sockopt::linger, 0);
  pair->connect(name);
  return pair;
}

class LogRepair : public RepairSource {
 public:
  explicit LogRepair(LogReader log) : log_(std::move(log)) {}

  Result<EventBuffer> get(uint64_t seq, uint64_t) override {
    while (true) {
      auto event = log_.next();
      if (!event) return std::move(event).error();
      if (!*event) {
        // The hub announces an event only after it is in the log, so a hole in the log cannot fill later.
        if (auto damage = log_.damage(); !damage.empty())
          return Error::system("repair from the log: " + damage);
        return not_there(seq);
      }
      if ((**event).seq() > seq) return not_there(seq);
      if ((**event).seq() == seq) return std::move(**event);
    }
  }

 private:
  LogReader log_;
};

class HubRepair : public RepairSource {
 public:
  HubRepair(std::unique_ptr<zmq::socket_t> socket, std::unique_ptr<zmq::socket_t> handshakes)
      : socket_(std::move(socket)), handshakes_(std::move(handshakes)) {}

  Result<EventBuffer> get(uint64_t seq, uint64_t newest) override {
    while (!ahead_.empty() && ahead_.front().seq() < seq) ahead_.pop_front();
    for (int i = 0; i < kTries && (ahead_.empty() || ahead_.front().seq() != seq); ++i) {
      if (auto s = ask(seq, newest); !s) return std::move(s).error();
      if (answered_ && ahead_.empty()) return not_there(seq);
    }
    if (ahead_.empty() || ahead_.front().seq() != seq)
      return Error::timeout("the hub did not answer a request for event " + std::to_string(seq));
    EventBuffer event = std::move(ahead_.front());
    ahead_.pop_front();
    return event;
  }

 private:
  Status ask(uint64_t first, uint64_t last) {
    ahead_.clear();
    answered_ = false;
    try {
      uint64_t range[2] = {first, last};
      socket_->send(zmq::const_buffer(range, sizeof range), zmq::send_flags::none);
      zmq::message_t frame;
      if (auto waited = wait_for_answer(); !waited || !*waited)
        return waited ? Status() : std::move(waited).error();
      do {
        if (!socket_->recv(frame)) return {};
        if (frame.size() == 0) {
          answered_ = ahead_.empty();
          continue;
        }
        auto event = EventBuffer::from_bytes({static_cast<const uint8_t*>(frame.data()), frame.size()});
        if (!event) return std::move(event).error().within("repair");
        // A late answer to an earlier request is no answer to this one.
        if ((*event).seq() == first + ahead_.size()) ahead_.push_back(std::move(*event));
      } while (frame.more());
    } catch (const zmq::error_t& e) {
      if (e.num() != EINTR) return Error::system(std::string("repair: ") + e.what());
    }
    return {};
  }

  // False: no answer in time, to be asked again. Error: the hub will not have us.
  Result<bool> wait_for_answer() {
    zmq::pollitem_t items[] = {{socket_->handle(), 0, ZMQ_POLLIN, 0},
                               {handshakes_->handle(), 0, ZMQ_POLLIN, 0}};
    zmq::poll(items, 2, std::chrono::milliseconds(kReplyLimitMs));
    if (!items[0].revents && items[1].revents)
      return Error::invalid("the hub refuses this key")
          .with_hint(
              "it must be authorised there, and hold the public key of that server: ktstr-launch keygen");
    return items[0].revents != 0;
  }

  std::unique_ptr<zmq::socket_t> socket_, handshakes_;
  std::deque<EventBuffer> ahead_;
  bool answered_ = false;  // "none of them is there"
};

}  // namespace

Result<std::unique_ptr<RepairSource>> RepairSource::from_log(const std::string& log_path) {
  auto log = LogReader::open(log_path);
  if (!log) return std::move(log).error();
  return std::unique_ptr<RepairSource>(std::make_unique<LogRepair>(std::move(log).value()));
}

Result<std::unique_ptr<RepairSource>> RepairSource::from_hub(zmq::context_t& context,
                                                             const BusAddress& address) {
  try {
    auto socket = std::make_unique<zmq::socket_t>(context, zmq::socket_type::dealer);
    socket->set(zmq::sockopt::linger, 0);
    socket->set(zmq::sockopt::sndtimeo, kReplyLimitMs);
    socket->set(zmq::sockopt::rcvtimeo, kReplyLimitMs);
    if (address.key) use_client_key(*socket, *address.key);
    auto handshakes = watch_handshakes(context, *socket);
    socket->connect(address.repair);
    return std::unique_ptr<RepairSource>(
        std::make_unique<HubRepair>(std::move(socket), std::move(handshakes)));
  } catch (const zmq::error_t& e) {
    return Error::system("connect to " + address.repair + ": " + e.what());
  }
}

}  // namespace ktstr
