#include "launcher/hub/repair_server.h"

#include <cstring>
#include <zmq.hpp>

#include "runtime/repair_source.h"

namespace ktstr {
namespace {

constexpr uint64_t kStep = 256;
constexpr int kAnswersInFlight = 4;
constexpr size_t kMaxEnvelope = 4;  // frames before the request: the client's identity, REQ's empty one

}  // namespace

Result<LogIndex> LogIndex::open(const std::string& log_path) {
  auto reader = LogReader::open(log_path);
  if (!reader) return std::move(reader).error();
  return LogIndex(std::move(reader).value());
}

std::vector<EventBuffer> LogIndex::read(uint64_t first, uint64_t last) {
  std::vector<EventBuffer> found;
  if (first == 0 || last < first) return found;
  if (offsets_.empty()) offsets_.push_back(reader_.offset());
  // The next record has the number events() + 1. Back, or far ahead: from the nearest place that is known.
  uint64_t known = std::min<uint64_t>((first - 1) / kStep, offsets_.size() - 1);
  if (first <= reader_.events() || known * kStep > reader_.events())
    reader_.seek(offsets_[known], known * kStep);
  size_t bytes = 0;
  while (found.size() < kRepairMaxEvents && bytes < kRepairMaxBytes && reader_.events() < last) {
    if (reader_.events() == offsets_.size() * kStep) offsets_.push_back(reader_.offset());
    auto event = reader_.next();
    if (!event || !*event) break;
    if (reader_.events() < first) continue;
    bytes += (**event).bytes().size();
    found.push_back(std::move(**event));
  }
  return found;
}

std::unique_ptr<zmq::socket_t> RepairServer::make_socket(zmq::context_t& context) {
  auto socket = std::make_unique<zmq::socket_t>(context, zmq::socket_type::router);
  socket->set(zmq::sockopt::sndhwm, kAnswersInFlight);
  socket->set(zmq::sockopt::rcvhwm, kAnswersInFlight);
  socket->set(zmq::sockopt::maxmsgsize,
              int64_t{4096});  // a request has 16 bytes, the handshake of CURVE several hundred
  socket->set(zmq::sockopt::linger, 0);
  return socket;
}

Result<std::unique_ptr<RepairServer>> RepairServer::start(std::vector<std::unique_ptr<zmq::socket_t>> sockets,
                                                          const std::string& log_path,
                                                          std::function<uint64_t()> newest) {
  auto index = LogIndex::open(log_path);
  if (!index) return std::move(index).error();
  std::unique_ptr<RepairServer> server(new RepairServer(std::move(index).value(), std::move(newest)));
  server->thread_ = std::make_unique<PollThread>(
      std::move(sockets), [s = server.get()](zmq::socket_t& socket) { s->answer(socket); });
  return server;
}

void RepairServer::answer(zmq::socket_t& socket) {
  std::vector<zmq::message_t> frames;
  bool too_many = false;
  while (true) {
    zmq::message_t frame;
    if (!socket.recv(frame)) return;
    bool more = frame.more();
    if (frames.size() <= kMaxEnvelope)
      frames.push_back(std::move(frame));
    else
      too_many = true;
    if (!more) break;
  }
  if (too_many || frames.size() < 2) return;
  std::vector<EventBuffer> events;
  if (uint64_t range[2]; frames.back().size() == sizeof range) {
    std::memcpy(range, frames.back().data(), sizeof range);
    events = index_.read(range[0], std::min(range[1], newest_()));
  }
  // A client that is gone, or does not read: dropped by ROUTER.
  for (size_t i = 0; i + 1 < frames.size(); ++i) socket.send(frames[i], zmq::send_flags::sndmore);
  for (size_t i = 0; i < events.size(); ++i) {
    auto bytes = events[i].bytes();
    socket.send(zmq::const_buffer(bytes.data(), bytes.size()),
                i + 1 < events.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }
  if (events.empty()) socket.send(zmq::message_t(), zmq::send_flags::none);
}

}  // namespace ktstr
