#include "launcher/hub/hub.h"

#include <chrono>
#include <zmq.hpp>

namespace ktstr {
namespace {

constexpr int kHighWater = 4096;
constexpr size_t kBatchEvents = 1024;
constexpr size_t kBatchBytes = 4u << 20;
constexpr std::chrono::milliseconds kHeartbeat{20};
constexpr int kLastBatches = 64;

}  // namespace

Result<std::unique_ptr<Hub>> Hub::start(zmq::context_t& context, const Options& options) {
  auto log = LogWriter::create(options.log_path);
  if (!log) return std::move(log).error();
  try {
    auto in = std::make_unique<zmq::socket_t>(context, zmq::socket_type::pull);
    auto out = std::make_unique<zmq::socket_t>(context, zmq::socket_type::pub);
    in->set(zmq::sockopt::rcvhwm, kHighWater);
    in->set(zmq::sockopt::maxmsgsize, static_cast<int64_t>(kMaxEventBytes));
    out->set(zmq::sockopt::sndhwm, kHighWater);
    in->set(zmq::sockopt::linger, 0);
    out->set(zmq::sockopt::linger, 500);
    in->bind(options.address.ingest);
    out->bind(options.address.events);
    return std::unique_ptr<Hub>(
        new Hub(std::move(in), std::move(out), std::move(log).value(), options.run_id));
  } catch (const zmq::error_t& e) {
    return Error::system("bind the bus at " + options.address.ingest + ": " + e.what());
  }
}

Hub::Hub(std::unique_ptr<zmq::socket_t> in, std::unique_ptr<zmq::socket_t> out, LogWriter log, std::string run_id)
    : in_(std::move(in)), out_(std::move(out)), log_(std::move(log)), run_id_(std::move(run_id)) {
  thread_ = std::thread([this] { serve(); });
}

Hub::~Hub() { stop(); }

void Hub::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

std::string Hub::failure() const {
  std::lock_guard lock(failure_mutex_);
  return failure_;
}

void Hub::serve() {
  int last_batches = 0;
  while (true) {
    bool last_round = stopping_;
    zmq::pollitem_t item{in_->handle(), 0, ZMQ_POLLIN, 0};
    try {
      zmq::poll(&item, 1, last_round ? std::chrono::milliseconds(0) : kHeartbeat);
      if (item.revents) take_batch();
      // What was sent before stop() is taken in; a producer that never ceases is not waited for.
      if (last_round && (!item.revents || ++last_batches >= kLastBatches)) return;
      if (item.revents) continue;
      uint64_t newest = last_seq_;
      out_->send(zmq::const_buffer(&newest, sizeof newest), zmq::send_flags::dontwait);
    } catch (const zmq::error_t& e) {
      if (e.num() == EINTR) continue;
      std::lock_guard lock(failure_mutex_);
      failure_ = std::string("the bus failed: ") + e.what();
      return;
    }
  }
}

size_t Hub::take_batch() {
  std::vector<EventBuffer> batch;
  size_t taken = 0, bytes = 0;
  while (taken < kBatchEvents && bytes < kBatchBytes) {
    zmq::message_t message;
    if (!in_->recv(message, zmq::recv_flags::dontwait)) break;
    ++taken;
    bytes += message.size();
    auto event = EventBuffer::from_bytes({static_cast<const uint8_t*>(message.data()), message.size()});
    if (!event || str(event->get().run_id()) != run_id_ || !source_may_state(str(event->get().source()), event->type())) {
      ++refused_;
      continue;
    }
    batch.push_back(std::move(event).value());
  }
  commit(batch);
  return taken;
}

void Hub::commit(std::vector<EventBuffer>& batch) {
  if (batch.empty() || !failure().empty()) return;
  if (auto s = log_.append(batch); !s) {
    std::lock_guard lock(failure_mutex_);
    failure_ = s.error().message();
    return;
  }
  last_seq_ = log_.last_seq();
  for (const EventBuffer& event : batch) {
    auto bytes = event.bytes();
    out_->send(zmq::const_buffer(bytes.data(), bytes.size()), zmq::send_flags::dontwait);
  }
}

}  // namespace ktstr
