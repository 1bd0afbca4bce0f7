// The bus end to end in one process: nothing is lost, whoever is slow, late or noisy.
#include "launcher/hub/hub.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <zmq.hpp>

#include "runtime/bus.h"

namespace ktstr {
namespace {

EventBuffer numbered(uint64_t i, const std::string& run_id = "run", size_t padding = 0) {
  CollectorLineT t;
  t.text = std::to_string(i) + std::string(padding, '.');
  return make_event({.run_id = run_id, .source = "test"}, std::move(t));
}

class HubTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktstr-hub-XXXXXX";
    folder_ = mkdtemp(name);
    auto hub = Hub::start(context_, {BusAddress::in_folder(folder_), log(), "run"});
    ASSERT_TRUE(hub) << hub.error().message();
    hub_ = std::move(hub).value();
  }
  void TearDown() override {
    hub_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string log() const { return folder_ + "/events.ktlog"; }
  Subscriber subscriber() {
    return Subscriber::connect(context_, BusAddress::in_folder(folder_), log()).value();
  }
  Publisher publisher() { return Publisher::connect(context_, BusAddress::in_folder(folder_)).value(); }

  // The next event, waiting for it; empty text after 20 s.
  static std::string next_text(Subscriber& s) {
    for (int i = 0; i < 20'000; ++i) {
      auto e = s.receive();
      if (!e) return "error: " + e.error().message();
      if (*e) return std::string(str((**e).as<CollectorLine>()->text()));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return "";
  }

  zmq::context_t context_;
  std::string folder_;
  std::unique_ptr<Hub> hub_;
};

TEST_F(HubTest, EventsArriveInOrderWithSequenceNumbers) {
  auto sub = subscriber();
  auto pub = publisher();
  for (uint64_t i = 1; i <= 100; ++i) ASSERT_TRUE(pub.publish(numbered(i)));
  for (uint64_t i = 1; i <= 100; ++i) {
    ASSERT_EQ(next_text(sub), std::to_string(i));
    EXPECT_EQ(sub.last_seq(), i);
  }
}

TEST_F(HubTest, ALateJoinerCatchesUpFromTheLog) {
  auto pub = publisher();
  auto early = subscriber();
  for (uint64_t i = 1; i <= 50; ++i) ASSERT_TRUE(pub.publish(numbered(i)));
  while (early.last_seq() < 50) ASSERT_NE(next_text(early), "");
  auto late = subscriber();
  for (uint64_t i = 1; i <= 50; ++i) ASSERT_EQ(next_text(late), std::to_string(i));
  EXPECT_EQ(late.repaired(), 50u);
}

TEST_F(HubTest, AStoppedSubscriberLosesNothingAndHoldsNobodyBack) {
  auto slow = subscriber();
  auto pub = publisher();
  ASSERT_TRUE(pub.publish(numbered(1)));
  ASSERT_EQ(next_text(slow), "1");
  // Far more than both high-water marks while nobody reads: PUB must drop, the log must not.
  constexpr uint64_t kEvents = 60'000;
  for (uint64_t i = 2; i <= kEvents; ++i) ASSERT_TRUE(pub.publish(numbered(i, "run", 200)));
  while (hub_->last_seq() < kEvents) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  for (uint64_t i = 2; i <= kEvents; ++i) {
    ASSERT_TRUE(next_text(slow).starts_with(std::to_string(i) + "."));
  }
  EXPECT_GT(slow.repaired(), 0u) << "nothing was dropped: the test shows nothing";
}

TEST_F(HubTest, GarbageAndForeignRunsAreRefusedAndHarmNothing) {
  auto sub = subscriber();
  zmq::socket_t raw(context_, zmq::socket_type::push);
  raw.connect(BusAddress::in_folder(folder_).ingest);
  raw.send(zmq::buffer(std::string("not an event")));
  raw.send(zmq::message_t(), zmq::send_flags::none);
  auto pub = publisher();
  ASSERT_TRUE(pub.publish(numbered(1, "another run")));
  ASSERT_TRUE(pub.publish(numbered(2)));
  EXPECT_EQ(next_text(sub), "2");
  while (hub_->refused() < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(hub_->last_seq(), 1u);
}

TEST_F(HubTest, AnExtraCollectorCannotEndTheRun) {
  auto sub = subscriber();
  auto pub = publisher();
  RunFinishedT end;
  ASSERT_TRUE(pub.publish(make_event({.run_id = "run", .source = "mine"}, std::move(end))));
  ASSERT_TRUE(pub.publish(numbered(1)));
  EXPECT_EQ(next_text(sub), "1");
  EXPECT_EQ(hub_->refused(), 1u);
}

TEST_F(HubTest, StopsUnderAProducerThatNeverCeases) {
  std::atomic<bool> done{false};
  std::thread flood([&] {
    auto pub = publisher();
    pub.set_give_up([&] { return done.load(); });
    while (!done && pub.publish(numbered(1))) {
    }
  });
  while (hub_->last_seq() < 1000) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  hub_->stop();
  done = true;
  flood.join();
  EXPECT_GE(hub_->last_seq(), 1000u);
}

TEST_F(HubTest, WhatWasSentBeforeStopIsInTheLog) {
  {
    auto pub = publisher();
    for (uint64_t i = 1; i <= 1000; ++i) ASSERT_TRUE(pub.publish(numbered(i)));
    while (hub_->last_seq() < 1000) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  hub_->stop();
  auto reader = LogReader::open(log());
  ASSERT_TRUE(reader);
  uint64_t n = 0;
  while (true) {
    auto e = reader->next();
    ASSERT_TRUE(e);
    if (!*e) break;
    ++n;
  }
  EXPECT_EQ(n, 1000u);
}

}  // namespace
}  // namespace ktstr
