#include "launcher/hub/replay_bus.h"

#include <zmq.hpp>

namespace ktstr {
namespace {

constexpr uint64_t kHeartbeatNs = 20'000'000;
constexpr size_t kMaxSentBytes = 16u << 10;  // as the hub's
constexpr int64_t kMaxSubscriptionBytes = 4096;
constexpr int kForgottenHighWater = 4;  // messages of a client that wait; each may have the size of an event
constexpr uint64_t kMaxAheadOfTold = 64;  // at full speed: events between two announcements
constexpr uint64_t kLookEvery = 1024;     // at full speed: events between two looks at the sockets
// Recorded time between two events that is waited for. A longer step is no time of a run (a damaged or forged stamp, a host
// that slept) and is skipped.
constexpr uint64_t kLongestStepNs = 600'000'000'000;

}  // namespace

Result<std::unique_ptr<ReplayBus>> ReplayBus::open(zmq::context_t& context, const Options& options) {
  auto log = LogReader::open(options.log_path);
  if (!log) return std::move(log).error();
  std::unique_ptr<ReplayBus> bus(new ReplayBus(options, std::move(log).value()));
  try {
    bus->in_ = std::make_unique<zmq::socket_t>(context, zmq::socket_type::pull);
    // XPUB is a PUB that hears of its subscribers.
    bus->out_ = std::make_unique<zmq::socket_t>(context, zmq::socket_type::xpub);
    bus->out_->set(zmq::sockopt::xpub_verboser, true);
    bus->out_->set(zmq::sockopt::linger, 500);
    bus->in_->set(zmq::sockopt::linger, 0);
    // As the hub's: no frame makes us hold more, and few wait.
    bus->in_->set(zmq::sockopt::maxmsgsize, static_cast<int64_t>(kMaxEventBytes));
    bus->in_->set(zmq::sockopt::rcvhwm, kForgottenHighWater);
    bus->out_->set(zmq::sockopt::maxmsgsize, kMaxSubscriptionBytes);
    bus->in_->bind(options.address.ingest);
    bus->out_->bind(options.address.events);
    std::vector<std::unique_ptr<zmq::socket_t>> repairs;
    repairs.push_back(RepairServer::make_socket(context));
    repairs.back()->bind(options.address.repair);
    auto repair = RepairServer::start(std::move(repairs), options.log_path,
                                      [b = bus.get()] { return b->newest_.load(); });
    if (!repair) return std::move(repair).error();
    bus->repair_ = std::move(repair).value();
  } catch (const zmq::error_t& e) {
    return Error::system("bind the bus at " + options.address.events + ": " + e.what());
  }
  return bus;
}

ReplayBus::~ReplayBus() = default;

void ReplayBus::announce() {
  uint64_t newest = newest_;
  out_->send(zmq::const_buffer(&newest, sizeof newest), zmq::send_flags::dontwait);
}

// Recorded time from `recorded`, the newest so far, to `stamp`. Stamps of several observers are not quite in order: time goes
// back only when it had leapt ahead.
uint64_t ReplayBus::step_to(uint64_t stamp, uint64_t& recorded) {
  const bool forward = stamp > recorded;
  const uint64_t step = forward ? stamp - recorded : recorded - stamp;
  if (step > kLongestStepNs) {
    ++played_.skipped_steps;
    recorded = stamp;
    return 0;
  }
  if (!forward) return 0;
  recorded = stamp;
  return step;
}

bool ReplayBus::serve_until(uint64_t deadline_ns, const Clock& clock) {
  zmq::pollitem_t items[] = {{in_->handle(), 0, ZMQ_POLLIN, 0},
                             {out_->handle(), 0, ZMQ_POLLIN, 0},
                             {nullptr, options_.stop_fd, ZMQ_POLLIN, 0}};
  while (true) {
    uint64_t now = clock.monotonic_ns();
    uint64_t left = deadline_ns > now ? std::min(deadline_ns - now, kHeartbeatNs) : 0;
    zmq::poll(items, options_.stop_fd >= 0 ? 3 : 2,
              std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(left)));
    zmq::message_t message;
    for (int i = 0; i < 1000 && in_->recv(message, zmq::recv_flags::dontwait); ++i) ++played_.forgotten;
    while (out_->recv(message, zmq::recv_flags::dontwait)) {
      const auto* word = static_cast<const uint8_t*>(message.data());
      if (message.size() >= 1 && word[0] == 1) ++subscribed_;
      if (message.size() >= 1 && word[0] == 0 && subscribed_ > 0) --subscribed_;
    }
    if (items[2].revents) return false;
    if (left == 0) return true;
    announce();
  }
}

Result<ReplayBus::Played> ReplayBus::play(const Clock& clock) {
  try {
    while (subscribed_ < options_.subscribers)
      if (!serve_until(clock.monotonic_ns() + kHeartbeatNs, clock)) return played_.stopped = true, played_;
    uint64_t due = clock.monotonic_ns(), recorded = 0;
    while (true) {
      auto event = log_.next();
      if (!event) return std::move(event).error();
      if (!*event) break;
      if (options_.speed > 0)
        due += static_cast<uint64_t>(static_cast<double>(step_to((**event)->stamp()->host_ns(), recorded)) /
                                     options_.speed);
      if (due > clock.monotonic_ns() && !serve_until(due, clock)) return played_.stopped = true, played_;
      if (options_.speed == 0 && played_.events % kLookEvery == 0 && !serve_until(0, clock))
        return played_.stopped = true, played_;
      newest_ = (**event).seq();
      auto bytes = (**event).bytes();
      if (options_.speed > 0 && bytes.size() <= kMaxSentBytes)
        out_->send(zmq::const_buffer(bytes.data(), bytes.size()), zmq::send_flags::dontwait);
      else if (options_.speed > 0 || played_.events % kMaxAheadOfTold == 0)
        announce();
      ++played_.events;
    }
    played_.damage = log_.damage();
    announce();
    if (!serve_until(clock.monotonic_ns() + static_cast<uint64_t>(options_.linger_s * 1e9), clock))
      played_.stopped = true;
    return played_;
  } catch (const zmq::error_t& e) {
    if (e.num() == EINTR) return played_.stopped = true, played_;
    return Error::system(std::string("replay: ") + e.what());
  }
}

}  // namespace ktstr
