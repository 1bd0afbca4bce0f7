// The bus over TCP: clients with a key hear all, nobody else hears anything.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>
#include <zmq.hpp>

#include "launcher/hub/hub.h"
#include "launcher/hub/testing/numbered_event.h"
#include "runtime/bus.h"
#include "schemas/client_generated.h"
#include "schemas/event_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

using testing::numbered;

// A hub that also listens on TCP.
class RemoteHubTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktstr-remote-XXXXXX";
    folder_ = mkdtemp(name);
    key_ = read_client_key(generate_client_key(keys(), "alpha").value()).value();
    for (int i = 0; i < 50 && !hub_; ++i) {
      // Three free ports in a row.
      address_ =
          BusAddress::remote("tcp://127.0.0.1:" + std::to_string(20'000 + (getpid() * 3 + i * 7) % 40'000))
              .value();
      std::filesystem::remove(log());
      auto hub = Hub::start(context_, {.address = BusAddress::in_folder(folder_),
                                       .log_path = log(),
                                       .run_id = "run",
                                       .listen = BusListen{address_, read_server_keys(keys()).value()}});
      if (hub) hub_ = std::move(hub).value();
    }
    ASSERT_TRUE(hub_);
    auto pub = Publisher::connect(context_, BusAddress::in_folder(folder_)).value();
    for (uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(pub.publish(numbered(i)));
    while (hub_->last_seq() < 100) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void TearDown() override {
    hub_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string log() const { return folder_ + "/events.ktlog"; }
  std::string keys() const { return folder_ + "/keys"; }
  // The first event over the repair socket; its error when none comes.
  Result<EventBuffer> first(const BusAddress& address) {
    return RepairSource::from_hub(remote_, address).value()->get(1, 1);
  }
  // What comes to somebody who only listens, without a key, for a while.
  bool hears_without_key() {
    zmq::socket_t sub(remote_, zmq::socket_type::sub);
    sub.set(zmq::sockopt::subscribe, "");
    sub.set(zmq::sockopt::linger, 0);
    sub.set(zmq::sockopt::rcvtimeo, 500);
    sub.connect(address_.events);
    zmq::message_t message;
    return sub.recv(message).has_value();
  }

  zmq::context_t context_, remote_;
  std::string folder_;
  BusAddress address_;
  ClientKey key_;
  std::unique_ptr<Hub> hub_;
};

TEST_F(RemoteHubTest, AClientWithItsKeyHearsAllAndAdds) {
  address_.key = key_;
  auto sub = Subscriber::connect(remote_, address_, "").value();
  auto pub = Publisher::connect(remote_, address_).value();
  auto next = [&]() -> std::optional<EventBuffer> {
    for (int i = 0; i < 20'000; ++i) {
      auto e = sub.receive();
      if (!e) break;
      if (*e) return std::move(*e);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return std::nullopt;
  };
  for (uint64_t i = 1; i <= 100; ++i) {
    auto e = next();
    ASSERT_TRUE(e && e->seq() == i) << i;
  }
  ASSERT_TRUE(pub.publish(numbered(101)));
  auto e = next();
  ASSERT_TRUE(e);
  EXPECT_EQ(str(e->as<CollectorLine>()->text()), "101");
  // One of ktstr's own names is not for a client over the network.
  ASSERT_TRUE(pub.publish(make_event({.run_id = "run", .source = "collector"}, CollectorLineT())));
  e = next();
  ASSERT_TRUE(e && e->as<ClientRefused>());
  EXPECT_TRUE(str(e->as<ClientRefused>()->reason()).starts_with("name: "));
}

TEST_F(RemoteHubTest, WhoIsBehindHearsTheEndAllTheSame) {
  address_.key = key_;
#ifdef __SANITIZE_THREAD__
  constexpr uint64_t kEvents = 2'000;  // each is a suppressed report of libzmq, tens of milliseconds
#else
  constexpr uint64_t kEvents = 30'000;
#endif
  std::atomic<uint64_t> heard{0};
  std::atomic<bool> stopped{false};
  std::thread reader([&] {
    auto sub = Subscriber::connect(remote_, address_, "").value();
    while (sub.last_seq() < kEvents) {
      const bool over = stopped;
      auto e = sub.receive();
      if (!e || (over && !*e)) break;
      heard = sub.last_seq();
      if (!*e) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  while (heard == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  {
    auto pub = Publisher::connect(context_, BusAddress::in_folder(folder_)).value();
    for (uint64_t i = 101; i <= kEvents; ++i) ASSERT_TRUE(pub.publish(numbered(i, "run", 500)));
  }
  while (hub_->last_seq() < kEvents) std::this_thread::yield();
  hub_->stop();
  stopped = true;
  reader.join();
  EXPECT_EQ(heard, kEvents);
}

TEST_F(RemoteHubTest, NobodyElseHearsAnything) {
  address_.key = key_;
  ASSERT_TRUE(first(address_)) << "the test shows nothing";
  // A key that this server does not know.
  auto stranger = read_client_key(generate_client_key(folder_ + "/other", "alpha").value()).value();
  address_.key = ClientKey{key_.server_public, stranger.own_public, stranger.own_secret};
  auto refused = first(address_);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("refuses this key"), std::string::npos)
      << refused.error().message();
  // No key at all. What it sends reaches nobody either.
  EXPECT_FALSE(hears_without_key());
  {
    zmq::socket_t raw(remote_, zmq::socket_type::push);
    raw.set(zmq::sockopt::linger, 200);
    raw.connect(address_.ingest);
    auto event = numbered(1);
    (void)raw.send(zmq::const_buffer(event.bytes().data(), event.bytes().size()), zmq::send_flags::dontwait);
  }
  address_.key = key_;
  EXPECT_TRUE(first(address_)) << "and the rightful client still does";
  EXPECT_EQ(hub_->last_seq(), 100u);
  EXPECT_EQ(hub_->refused(), 0u);
}

}  // namespace
}  // namespace ktstr
