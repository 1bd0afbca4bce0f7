#include "launcher/hub/hub.h"

#include <chrono>
#include <zmq.hpp>

namespace ktstr {
namespace {

// Messages in a pipe. Few: an event may have 16 MiB, and a producer that is ahead of the log is to be held, not stored.
constexpr int kIntakeHighWater = 256;
constexpr int kOutHighWater = 1024;
constexpr size_t kBatchEvents = 1024;
constexpr size_t kBatchBytes = 4u << 20;
// Larger events, and larger batches, are announced and not sent.
constexpr size_t kMaxSentBytes = 16u << 10;
constexpr size_t kMaxSentEvents = 64;
constexpr std::chrono::milliseconds kHeartbeat{20};
constexpr int kLastBatches = 64;

std::unique_ptr<zmq::socket_t> make_socket(zmq::context_t& context, zmq::socket_type type) {
  auto socket = std::make_unique<zmq::socket_t>(context, type);
  bool in = type == zmq::socket_type::pull;
  if (in) socket->set(zmq::sockopt::rcvhwm, kIntakeHighWater);
  if (in) socket->set(zmq::sockopt::maxmsgsize, static_cast<int64_t>(kMaxEventBytes));
  if (!in) socket->set(zmq::sockopt::sndhwm, kOutHighWater);
  socket->set(zmq::sockopt::linger, in ? 0 : 500);
  return socket;
}

}  // namespace

Result<std::unique_ptr<Hub>> Hub::start(zmq::context_t& context, const Options& options) {
  auto log = LogWriter::create(options.log_path);
  if (!log) return std::move(log).error();
  const BusAddress* binding = &options.address;
  try {
    Sockets sockets;
    sockets.bind(context, options.address, nullptr);
    std::unique_ptr<KeyGuard> guard;
    if (options.listen) {
      binding = &options.listen->address;
      guard = std::make_unique<KeyGuard>(context, options.listen->keys);
      sockets.bind(context, *binding, guard.get());
    }
    auto repairs = std::move(sockets.repairs);
    std::unique_ptr<Hub> hub(new Hub(std::move(sockets), std::move(log).value(), options));
    hub->guard_ = std::move(guard);
    auto repair = RepairServer::start(std::move(repairs), options.log_path, [h = hub.get()] { return h->last_seq(); });
    if (!repair) return std::move(repair).error();
    hub->repair_ = std::move(repair).value();
    return hub;
  } catch (const zmq::error_t& e) {
    return Error::system("bind the bus at " + binding->events + ": " + e.what());
  }
}

void Hub::Sockets::bind(zmq::context_t& context, const BusAddress& address, const KeyGuard* guard) {
  auto in = make_socket(context, zmq::socket_type::pull);
  auto out = make_socket(context, zmq::socket_type::pub);
  auto repair = RepairServer::make_socket(context);
  if (guard)
    for (auto* socket : {in.get(), out.get(), repair.get()}) guard->secure(*socket);
  ConnectionWatch watch(context, *in, address.ingest);
  in->bind(address.ingest);
  out->bind(address.events);
  repair->bind(address.repair);
  intakes.push_back({std::move(in), std::move(watch), guard != nullptr});
  outs.push_back(std::move(out));
  repairs.push_back(std::move(repair));
}

Hub::Hub(Sockets sockets, LogWriter log, const Options& options)
    : intakes_(std::move(sockets.intakes)), outs_(std::move(sockets.outs)), log_(std::move(log)), run_id_(options.run_id),
      start_ns_(options.start_ns), gate_(options.run_id) {
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

void Hub::fail(std::string why) {
  std::lock_guard lock(failure_mutex_);
  failure_ = std::move(why);
  failed_ = true;
}

void Hub::serve() {
  int last_batches = 0;
  std::vector<zmq::pollitem_t> items;
  for (Intake& intake : intakes_) items.push_back({intake.socket->handle(), 0, ZMQ_POLLIN, 0});
  while (true) {
    bool last_round = stopping_;
    try {
      int ready = zmq::poll(items, last_round ? std::chrono::milliseconds(0) : kHeartbeat);
      note_connections();
      for (size_t i = 0; i < items.size(); ++i)
        if (items[i].revents) take_batch(intakes_[i]);
      // What was sent before stop() is taken in; a producer that never ceases is not waited for.
      bool end = last_round && (ready == 0 || ++last_batches >= kLastBatches);
      if (gate_.pending()) tell_refusals(end ? UINT64_MAX : elapsed_ns());
      if (end) return;
      if (ready == 0) announce();
    } catch (const zmq::error_t& e) {
      if (e.num() == EINTR) continue;
      fail(std::string("the bus failed: ") + e.what());
      return;
    }
  }
}

void Hub::note_connections() {
  for (Intake& intake : intakes_) {
    while (auto change = intake.connections.next()) {
      if (change->closed)
        gate_.connection_closed(change->connection);
      else
        gate_.connection_opened(change->connection);
    }
  }
}

size_t Hub::take_batch(Intake& intake) {
  size_t taken = 0, bytes = 0;
  uint64_t now = 0;
  while (taken < kBatchEvents && bytes < kBatchBytes) {
    zmq::message_t message;
    if (!intake.socket->recv(message, zmq::recv_flags::dontwait)) break;
    ++taken;
    MessageSender sender(message, intake.remote);
    if (message.more()) {
      size_t frames = 1;
      zmq::message_t rest;
      do {
        (void)intake.socket->recv(rest);
        ++frames;
      } while (rest.more());
      gate_.refuse_frames(frames, sender);
      continue;
    }
    bytes += message.size();
    auto event = gate_.admit({static_cast<const uint8_t*>(message.data()), message.size()}, sender);
    if (!event) continue;
    if ((*event)->stamp()->host_ns() == 0) event->stamp_host_ns(now ? now : now = elapsed_ns());
    batch_.push_back(std::move(*event));
  }
  refused_ = gate_.refused();
  commit(batch_);
  batch_.clear();
  return taken;
}

void Hub::tell_refusals(uint64_t now_ns) {
  std::vector<EventBuffer> told;
  for (ClientRefusedT& refusal : gate_.due(now_ns))
    told.push_back(make_event({.run_id = run_id_, .source = "launcher", .host_ns = elapsed_ns()}, std::move(refusal)));
  commit(told);
}

void Hub::send(const void* data, size_t size) {
  for (auto& out : outs_) out->send(zmq::const_buffer(data, size), zmq::send_flags::dontwait);
}

void Hub::announce() {
  uint64_t newest = last_seq_;
  send(&newest, sizeof newest);
}

void Hub::commit(std::vector<EventBuffer>& batch) {
  if (batch.empty() || failed_) return;
  if (auto s = log_.append(batch); !s) return fail(s.error().message());
  last_seq_ = log_.last_seq();
  if (batch.size() > kMaxSentEvents) return announce();
  bool skipped = false;
  for (const EventBuffer& event : batch) {
    auto bytes = event.bytes();
    skipped = bytes.size() > kMaxSentBytes;
    if (!skipped) send(bytes.data(), bytes.size());
  }
  if (skipped) announce();  // an earlier one that was left out shows as a gap
}

}  // namespace ktstr
