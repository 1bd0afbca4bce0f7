#include "launcher/hub/key_guard.h"

#include <zmq.hpp>

namespace ktstr {
namespace {

constexpr char kDomain[] = "ktstr";
constexpr size_t kRequestFrames = 7;  // version, request, domain, address, identity, mechanism, credentials

}  // namespace

KeyGuard::KeyGuard(zmq::context_t& context, const ServerKeys& keys) : keys_(keys) {
  for (const auto& key : keys.authorized) {
    uint8_t raw[32];
    if (zmq_z85_decode(raw, key.c_str())) authorized_.emplace(reinterpret_cast<const char*>(raw), sizeof raw);
  }
  auto socket = std::make_unique<zmq::socket_t>(context, zmq::socket_type::rep);
  socket->set(zmq::sockopt::linger, 0);
  socket->bind("inproc://zeromq.zap.01");
  std::vector<std::unique_ptr<zmq::socket_t>> sockets;
  sockets.push_back(std::move(socket));
  thread_ = std::make_unique<PollThread>(std::move(sockets), [this](zmq::socket_t& s) { decide(s); });
}

void KeyGuard::secure(zmq::socket_t& socket) const {
  socket.set(zmq::sockopt::curve_server, true);
  socket.set(zmq::sockopt::curve_secretkey, keys_.own_secret);
  socket.set(zmq::sockopt::zap_domain, kDomain);
  // A peer whose connection is lost frees its name.
  socket.set(zmq::sockopt::heartbeat_ivl, 5000);
  socket.set(zmq::sockopt::heartbeat_timeout, 15000);
}

void KeyGuard::decide(zmq::socket_t& socket) {
  std::vector<std::string> frames;
  zmq::message_t frame;
  do {
    if (!socket.recv(frame)) return;
    frames.push_back(frame.to_string());
  } while (frame.more());
  bool good = frames.size() == kRequestFrames && frames[0] == "1.0" && frames[5] == "CURVE" &&
              authorized_.count(frames[6]) == 1;
  const std::string reply[] = {"1.0",
                               frames.size() > 1 ? frames[1] : "",
                               good ? "200" : "400",
                               good ? "" : "this key is not authorised",
                               "",
                               ""};
  for (size_t i = 0; i < std::size(reply); ++i)
    socket.send(zmq::buffer(reply[i]),
                i + 1 < std::size(reply) ? zmq::send_flags::sndmore : zmq::send_flags::none);
}

}  // namespace ktstr
