#include "launcher/hub/connection_watch.h"

#include <cstring>
#include <zmq.hpp>

namespace ktstr {

ConnectionWatch::ConnectionWatch(zmq::context_t& context, zmq::socket_t& watched, const std::string& name) {
  std::string endpoint = "inproc://watch-" + name;
  if (zmq_socket_monitor(watched.handle(), endpoint.c_str(), ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) !=
      0)
    throw zmq::error_t();
  pair_ = std::make_unique<zmq::socket_t>(context, zmq::socket_type::pair);
  pair_->set(zmq::sockopt::linger, 0);
  pair_->set(zmq::sockopt::rcvhwm, 0);  // a lost word on a connection would be a name taken for good
  pair_->connect(endpoint);
}

ConnectionWatch::~ConnectionWatch() = default;
ConnectionWatch::ConnectionWatch(ConnectionWatch&&) noexcept = default;

std::optional<ConnectionWatch::Change> ConnectionWatch::next() {
  // Two frames: u16 event, u32 value; the address.
  zmq::message_t event, address;
  if (!pair_->recv(event, zmq::recv_flags::dontwait)) return std::nullopt;
  if (event.more()) (void)pair_->recv(address);
  if (event.size() < 6) return std::nullopt;
  uint16_t kind = 0;
  int32_t value = 0;
  std::memcpy(&kind, event.data(), sizeof kind);
  std::memcpy(&value, static_cast<const char*>(event.data()) + sizeof kind, sizeof value);
  return Change{value, kind == ZMQ_EVENT_DISCONNECTED};
}

int MessageSender::connection() const { return zmq_msg_get(message_.handle(), ZMQ_SRCFD); }

std::string MessageSender::description() const {
  const char* peer = zmq_msg_gets(message_.handle(), "Peer-Address");
  if (peer == nullptr || *peer == '\0') return "";
  std::string text = peer;
  // A local peer is "localhost:uid:gid:pid".
  return remote_ ? text : "process " + text.substr(text.rfind(':') + 1);
}

}  // namespace ktstr
