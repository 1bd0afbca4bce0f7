// The hub against a bare ZeroMQ pipe with the same frames: throughput, loss, latency.
//
//   pipe   one PUSH into one PULL, which only counts
//   hub    two producers, log on, three subscribers that verify and count every event, in order
//
// Usage: ktstr_stream_bench [EVENTS_FOR_LOSS]   (default 10 million; they take 3 GB in KTSTR_BENCH_DIR or /tmp)
#include <poll.h>

#include <atomic>
#include <cstdio>
#include <thread>
#include <zmq.hpp>

#include "launcher/hub/hub.h"
#include "tests/bench/bench_kit.h"

namespace ktstr::bench {
namespace {

constexpr uint64_t kRound = 1'000'000;
constexpr int kRounds = 3;
constexpr int kProducers = 2;
constexpr int kSubscribers = 3;

// A pipe with nothing behind it, one thread at each end. Events per second.
double pipe_rate(uint64_t events) {
  Folder folder;
  zmq::context_t context;
  zmq::socket_t in(context, zmq::socket_type::pull);
  in.bind(BusAddress::in_folder(folder.path()).ingest);
  auto event = event_of_256_bytes("run", 1);
  Stopwatch watch;
  std::thread producer([&] {
    zmq::socket_t out(context, zmq::socket_type::push);
    out.connect(BusAddress::in_folder(folder.path()).ingest);
    for (uint64_t i = 0; i < events; ++i)
      out.send(zmq::const_buffer(event.bytes().data(), event.bytes().size()), zmq::send_flags::none);
  });
  zmq::message_t message;
  for (uint64_t i = 0; i < events; ++i) (void)in.recv(message);
  double rate = static_cast<double>(events) / watch.seconds();
  producer.join();
  return rate;
}

struct HubRound {
  double logged_rate = 0;  // until the last event was in the log
  double heard_rate = 0;   // until the last subscriber had the last event
  uint64_t logged = 0, heard_least = 0, out_of_order = 0, repaired = 0;
};

struct Ear {
  std::atomic<uint64_t> heard{0};
  uint64_t out_of_order = 0, repaired = 0;

  void listen(zmq::context_t& context, const BusAddress& address, const std::string& log, uint64_t events) {
    auto sub = Subscriber::connect(context, address, log).value();
    uint64_t n = 0;
    while (n < events) {
      auto e = sub.receive();
      if (!e) {
        std::fprintf(stderr, "subscriber: %s\n", e.error().message().c_str());
        return;
      }
      if (!*e) {
        heard = n;
        pollfd p{sub.fd(), POLLIN, 0};
        ::poll(&p, 1, 20);
        continue;
      }
      if ((**e).seq() != ++n) ++out_of_order;
    }
    repaired = sub.repaired();
    heard = n;
  }
};

HubRound hub_round(uint64_t events) {
  Folder folder;
  zmq::context_t context;
  auto address = BusAddress::in_folder(folder.path());
  std::string log = folder.file("events.ktlog");
  auto hub = Hub::start(context, {.address = address, .log_path = log, .run_id = "run"}).value();
  auto event = event_of_256_bytes("run", 1);
  Ear ears[kSubscribers];
  std::vector<std::thread> threads;
  zmq::context_t ear_context;
  for (Ear& ear : ears) threads.emplace_back([&] { ear.listen(ear_context, address, log, events); });
  zmq::context_t producer_context;
  Stopwatch watch;
  for (int p = 0; p < kProducers; ++p)
    threads.emplace_back([&] {
      auto out = Publisher::connect(producer_context, address).value();
      for (uint64_t i = 0; i < events / kProducers; ++i)
        if (!out.publish(event)) return;
    });
  HubRound round;
  uint64_t seen = 0;
  Stopwatch since;
  while (hub->last_seq() < events) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    if (hub->last_seq() != seen) since = Stopwatch();
    seen = hub->last_seq();
    if (since.seconds() > 20) {
      std::fprintf(stderr, "stuck after %llu of %llu events: %llu refused, %s\n",
                   static_cast<unsigned long long>(seen), static_cast<unsigned long long>(events),
                   static_cast<unsigned long long>(hub->refused()), hub->failure().c_str());
      std::_Exit(3);
    }
  }
  round.logged_rate = static_cast<double>(events) / watch.seconds();
  for (auto& t : threads) t.join();
  round.heard_rate = static_cast<double>(events) / watch.seconds();
  round.logged = hub->last_seq();
  round.heard_least = UINT64_MAX;
  for (Ear& ear : ears) {
    round.heard_least = std::min<uint64_t>(round.heard_least, ear.heard);
    round.out_of_order += ear.out_of_order;
    round.repaired += ear.repaired;
  }
  return round;
}

// One event at a time, nothing else going on. The median in microseconds from send to receive.
double pipe_latency_us(int samples) {
  Folder folder;
  zmq::context_t context;
  zmq::socket_t in(context, zmq::socket_type::pull), out(context, zmq::socket_type::push);
  in.bind(BusAddress::in_folder(folder.path()).ingest);
  out.connect(BusAddress::in_folder(folder.path()).ingest);
  auto event = event_of_256_bytes("run", 1);
  std::vector<double> times;
  zmq::message_t message;
  for (int i = 0; i < samples; ++i) {
    Stopwatch watch;
    out.send(zmq::const_buffer(event.bytes().data(), event.bytes().size()), zmq::send_flags::none);
    (void)in.recv(message);
    times.push_back(watch.seconds() * 1e6);
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  return median(times);
}

double hub_latency_us(int samples) {
  Folder folder;
  zmq::context_t context;
  auto address = BusAddress::in_folder(folder.path());
  std::string log = folder.file("events.ktlog");
  auto hub = Hub::start(context, {.address = address, .log_path = log, .run_id = "run"}).value();
  auto out = Publisher::connect(context, address).value();
  auto sub = Subscriber::connect(context, address, log).value();
  auto event = event_of_256_bytes("run", 1);
  std::vector<double> times;
  for (int i = 0; i < samples; ++i) {
    Stopwatch watch;
    (void)out.publish(event);
    while (true) {
      auto e = sub.receive();
      if (!e) std::exit(3);
      if (*e) break;
      pollfd p{sub.fd(), POLLIN, 0};
      ::poll(&p, 1, 20);
    }
    times.push_back(watch.seconds() * 1e6);
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  return median(times);
}

int run(uint64_t loss_events) {
  Bars bars;
  auto event = event_of_256_bytes("run", 1);
  std::printf("frames of %zu bytes, %d producers, log on, %d subscribers, best of %d rounds of %.0fk\n",
              event.bytes().size(), kProducers, kSubscribers, kRounds, kRound / 1e3);
  double pipe = 0, logged = 0, heard = 0;
  for (int i = 0; i < kRounds; ++i) {
    pipe = std::max(pipe, pipe_rate(kRound));
    HubRound round = hub_round(kRound);
    logged = std::max(logged, round.logged_rate);
    heard = std::max(heard, round.heard_rate);
  }
  std::printf("pipe %.0fk/s, hub %.0fk/s into the log, %.0fk/s through all subscribers\n", pipe / 1e3,
              logged / 1e3, heard / 1e3);
  bars.at_least("hub throughput, of the bare pipe's", logged / pipe, 0.5);

  double bare = pipe_latency_us(2000), through = hub_latency_us(2000);
  std::printf("latency at the median, idle: pipe %.1f us, through the hub and its log %.1f us (x%.2f)\n",
              bare, through, through / bare);
  bars.at_most("added latency, us", through - bare, 100);

  HubRound round = hub_round(loss_events);
  std::printf(
      "%llu events: %.0fk/s into the log, %.0fk/s through all subscribers, %llu of %llu deliveries from the "
      "log\n",
      static_cast<unsigned long long>(loss_events), round.logged_rate / 1e3, round.heard_rate / 1e3,
      static_cast<unsigned long long>(round.repaired),
      static_cast<unsigned long long>(loss_events * kSubscribers));
  bars.at_most("events lost or out of order",
               static_cast<double>(loss_events - round.heard_least + round.out_of_order), 0);
  return bars.exit_code();
}

}  // namespace
}  // namespace ktstr::bench

int main(int argc, char** argv) {
  uint64_t events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) / 2 * 2 : 10'000'000;
  return ktstr::bench::run(events);
}
