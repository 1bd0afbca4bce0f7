#include "launcher/hub/hub.h"

#include <chrono>
#include <zmq.hpp>

#include "schemas/run_generated.h"

namespace ktstr {
namespace {

// Messages in a pipe. Few: an event may have 16 MiB, and a producer that is ahead of the log is to be held, not stored.
constexpr int kRemoteHighWater = 64;
constexpr int kOutHighWater = 1024;
constexpr int64_t kMaxSubscriptionBytes = 4096;
constexpr size_t kBatchEvents = 1024;
constexpr size_t kBatchBytes = 4u << 20;
// Larger events, and larger batches, are announced and not sent.
constexpr size_t kMaxSentBytes = 16u << 10;
constexpr size_t kMaxSentEvents = 64;
constexpr std::chrono::milliseconds kHeartbeat{20};
constexpr int kLastBatches = 64;
constexpr uint64_t kRemoteLeaveLimitNs = 3'000'000'000;

std::unique_ptr<zmq::socket_t> make_socket(zmq::context_t& context, zmq::socket_type type) {
  auto socket = std::make_unique<zmq::socket_t>(context, type);
  bool in = type == zmq::socket_type::pull;
  if (in) socket->set(zmq::sockopt::rcvhwm, kRemoteHighWater);
  if (in) socket->set(zmq::sockopt::maxmsgsize, static_cast<int64_t>(kMaxEventBytes));
  if (!in) socket->set(zmq::sockopt::sndhwm, kOutHighWater);
  if (!in)
    socket->set(zmq::sockopt::maxmsgsize,
                kMaxSubscriptionBytes);  // also what a stranger's handshake may have
  socket->set(zmq::sockopt::linger, in ? 0 : 500);
  return socket;
}

}  // namespace

Result<std::unique_ptr<Hub>> Hub::start(zmq::context_t& context, const Options& options) {
  auto log = LogWriter::create(options.log_path);
  if (!log) return std::move(log).error();
  Sockets sockets;
  try {
    auto ingest = IngestSocket::bind(options.address.ingest);
    if (!ingest) return std::move(ingest).error().within("bind the bus");
    sockets.ingest = std::move(ingest).value();
    sockets.bind(context, options.address, nullptr);
    std::unique_ptr<KeyGuard> guard;
    if (options.listen) {
      guard = std::make_unique<KeyGuard>(context, options.listen->keys);
      sockets.bind(context, options.listen->address, guard.get());
    }
    auto repairs = std::move(sockets.repairs);
    std::unique_ptr<Hub> hub(new Hub(std::move(sockets), std::move(log).value(), options));
    hub->guard_ = std::move(guard);
    auto repair =
        RepairServer::start(std::move(repairs), options.log_path, [h = hub.get()] { return h->last_seq(); });
    if (!repair) return std::move(repair).error();
    hub->repair_ = std::move(repair).value();
    return hub;
  } catch (const zmq::error_t& e) {
    return Error::system("bind the bus at " + sockets.binding + ": " + e.what());
  }
}

void Hub::Sockets::bind(zmq::context_t& context, const BusAddress& address, const KeyGuard* guard) {
  auto out = make_socket(context, zmq::socket_type::pub);
  auto repair = RepairServer::make_socket(context);
  if (guard) {
    auto in = make_socket(context, zmq::socket_type::pull);
    for (auto* socket : {in.get(), out.get(), repair.get()}) guard->secure(*socket);
    ConnectionWatch producers(context, *in, address.ingest), listeners(context, *out, address.events);
    in->bind(binding = address.ingest);
    remote.emplace(Intake{std::move(in), std::move(producers), std::move(listeners)});
  }
  out->bind(binding = address.events);
  repair->bind(binding = address.repair);
  outs.push_back(std::move(out));
  repairs.push_back(std::move(repair));
}

Hub::Hub(Sockets sockets, LogWriter log, const Options& options)
    : ingest_(std::move(sockets.ingest)),
      remote_(std::move(sockets.remote)),
      outs_(std::move(sockets.outs)),
      log_(std::move(log)),
      run_id_(options.run_id),
      start_ns_(options.start_ns),
      gate_(options.run_id) {
  events_.message = [this](std::span<const uint8_t> bytes, size_t frames, const Sender& from) {
    take(bytes, frames, from);
  };
  events_.opened = [this](int connection) { gate_.connection_opened(connection); };
  events_.closed = [this](int connection) { gate_.connection_closed(connection); };
  events_.broken = [this](const std::string& what, const Sender& from) { gate_.refuse_peer(what, from); };
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
  std::vector<zmq::pollitem_t> items = {{nullptr, ingest_->fd(), ZMQ_POLLIN, 0}};
  if (remote_) items.push_back({remote_->socket->handle(), 0, ZMQ_POLLIN, 0});
  while (true) {
    bool last_round = stopping_;
    try {
      // Under load nobody is waited for.
      bool local = take_local();
      bool busy = take_remote() || local;
      commit(batch_);
      refused_ = gate_.refused();
      // What was sent before stop() is taken in; a producer that never ceases is not waited for.
      bool end = last_round && (!busy || ++last_batches >= kLastBatches) && !await_remote_leave();
      if (gate_.pending()) tell_refusals(end ? UINT64_MAX : elapsed_ns());
      if (end) return;
      if (busy) continue;
      if (zmq::poll(items, last_round && !remote_listeners_ ? std::chrono::milliseconds(0) : kHeartbeat) == 0)
        announce();
    } catch (const zmq::error_t& e) {
      if (e.num() == EINTR) continue;
      fail(std::string("the bus failed: ") + e.what());
      return;
    }
  }
}

// A remote subscriber may be behind, and has no log to go to: it is given time to hear the end.
bool Hub::await_remote_leave() {
  if (remote_listeners_ == 0) return false;
  if (leave_by_ns_ == 0) leave_by_ns_ = elapsed_ns() + kRemoteLeaveLimitNs;
  return elapsed_ns() < leave_by_ns_;
}

bool Hub::take_local() { return ingest_->receive(events_); }

bool Hub::take_remote() {
  if (!remote_) return false;
  while (auto change = remote_->connections.next()) {
    if (change->closed)
      gate_.connection_closed(change->connection);
    else
      gate_.connection_opened(change->connection);
  }
  while (auto change = remote_->listeners.next()) {
    if (!change->closed)
      ++remote_listeners_;
    else if (remote_listeners_ > 0)
      --remote_listeners_;
  }
  size_t taken = 0;
  while (taken < kBatchEvents) {
    zmq::message_t message;
    if (!remote_->socket->recv(message, zmq::recv_flags::dontwait)) break;
    ++taken;
    MessageSender sender(message, /*remote=*/true);
    size_t frames = 1;
    for (zmq::message_t rest; frames == 1 ? message.more() : rest.more(); ++frames)
      (void)remote_->socket->recv(rest);
    take({static_cast<const uint8_t*>(message.data()), message.size()}, frames, sender);
  }
  return taken > 0;
}

void Hub::take(std::span<const uint8_t> message, size_t frames, const Sender& sender) {
  if (frames != 1) return gate_.refuse_frames(frames, sender);
  auto event = gate_.admit(message, sender);
  if (!event) return;
  // What was refused so far belongs to the run: its end is the last event.
  if (event->type() == Payload::RunFinished && gate_.pending()) {
    commit(batch_);
    tell_refusals(UINT64_MAX);
  }
  if ((*event)->stamp()->host_ns() == 0) event->stamp_host_ns(elapsed_ns());
  batch_bytes_ += message.size();
  batch_.push_back(std::move(*event));
  if (batch_.size() >= kBatchEvents || batch_bytes_ >= kBatchBytes) commit(batch_);
}

void Hub::tell_refusals(uint64_t now_ns) {
  std::vector<EventBuffer> told;
  for (ClientRefusedT& refusal : gate_.due(now_ns))
    told.push_back(
        make_event({.run_id = run_id_, .source = "launcher", .host_ns = elapsed_ns()}, std::move(refusal)));
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
  std::vector<EventBuffer> events = std::move(batch);
  batch.clear();
  batch_bytes_ = 0;
  if (events.empty() || failed_) return;
  if (auto s = log_.append(events); !s) return fail(s.error().message());
  last_seq_ = log_.last_seq();
  if (events.size() > kMaxSentEvents) return announce();
  bool skipped = false;
  for (const EventBuffer& event : events) {
    auto bytes = event.bytes();
    skipped = bytes.size() > kMaxSentBytes;
    if (!skipped) send(bytes.data(), bytes.size());
  }
  if (skipped) announce();  // an earlier one that was left out shows as a gap
}

}  // namespace ktstr
