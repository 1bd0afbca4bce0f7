// A recorded run on a bus gives every subscriber every byte of the log, whenever it joins.
#include "launcher/hub/replay_bus.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>
#include <zmq.hpp>

#include "schemas/client_generated.h"
#include "schemas/log_writer.h"

namespace ktstr {
namespace {

class ReplayBusTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktstr-replay-XXXXXX";
    folder_ = mkdtemp(name);
    auto writer = LogWriter::create(log());
    ASSERT_TRUE(writer);
    for (uint64_t i = 1; i <= kEvents; ++i) {
      CollectorLineT t;
      t.text = std::to_string(i) + std::string(i % 100 == 0 ? 40'000 : i % 50, '.');
      events_.push_back(
          make_event({.run_id = "run", .source = "test", .host_ns = i * 1'000'000}, std::move(t)));
    }
    ASSERT_TRUE(writer->append(events_));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string log() const { return folder_ + "/events.ktlog"; }

  // Plays on a thread, hears all over the bus.
  void expect_all_heard(ReplayBus::Options options, bool with_log) {
    options.address = BusAddress::in_folder(folder_);
    options.log_path = log();
    options.linger_s = 60;
    int stop[2];
    ASSERT_EQ(pipe(stop), 0);
    options.stop_fd = stop[0];
    auto bus = ReplayBus::open(context_, options);
    ASSERT_TRUE(bus) << bus.error().message();
    Result<ReplayBus::Played> played(ReplayBus::Played{});
    std::thread player([&] { played = (*bus)->play(SystemClock()); });
    {
      auto sub = Subscriber::connect(context_, options.address, with_log ? log() : "").value();
      uint64_t heard = 0;
      for (int i = 0; i < 60'000 && heard < kEvents; ++i) {
        auto e = sub.receive();
        if (!e) {
          ADD_FAILURE() << e.error().message();
          break;
        }
        if (!*e) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          continue;
        }
        ASSERT_TRUE(std::ranges::equal((**e).bytes(), events_[heard].bytes())) << heard;
        ++heard;
      }
      EXPECT_EQ(heard, kEvents);
    }
    EXPECT_EQ(write(stop[1], "x", 1), 1);
    player.join();
    ASSERT_TRUE(played);
    EXPECT_EQ(played->events, kEvents);
    EXPECT_EQ(played->damage, "");
    close(stop[0]);
    close(stop[1]);
  }

  static constexpr uint64_t kEvents = 300;
  zmq::context_t context_;
  std::string folder_;
  std::vector<EventBuffer> events_;
};

TEST_F(ReplayBusTest, AtRecordedSpeedToASubscriberThatWasThereFirst) {
  expect_all_heard({.speed = 1, .subscribers = 1}, true);
}
TEST_F(ReplayBusTest, AtFullSpeedToALateJoiner) { expect_all_heard({.speed = 0}, true); }
TEST_F(ReplayBusTest, AtFullSpeedOverTheWireAlone) { expect_all_heard({.speed = 0}, false); }
TEST_F(ReplayBusTest, AtTenTimesTheSpeedOverTheWireAlone) {
  expect_all_heard({.speed = 10, .subscribers = 1}, false);
}

// Injected time: how long a replay takes is a matter of stamps and speed.
class CountingClock : public Clock {
 public:
  uint64_t monotonic_ns() const override { return now_ += 100'000; }
  uint64_t realtime_ns() const override { return 0; }
  uint64_t now() const { return now_; }

 private:
  mutable uint64_t now_ = 0;
};

TEST_F(ReplayBusTest, TakesItsTimeFromTheStamps) {
  for (double speed : {1.0, 3.0}) {
    auto bus = ReplayBus::open(
        context_,
        {.address = BusAddress::in_folder(folder_), .log_path = log(), .speed = speed, .linger_s = 0});
    ASSERT_TRUE(bus) << bus.error().message();
    CountingClock clock;
    ASSERT_TRUE((*bus)->play(clock));
    double took = static_cast<double>(clock.now()) * speed / 1e6;
    EXPECT_GE(took, 300) << "ms of the recorded time, at speed " << speed;
    EXPECT_LE(took, 300 * 1.5);
  }
}

TEST_F(ReplayBusTest, AStampOfAllBitsIsNotWaitedFor) {
  std::filesystem::remove(log());
  auto writer = LogWriter::create(log());
  ASSERT_TRUE(writer);
  std::vector<EventBuffer> events;
  for (uint64_t ns :
       {uint64_t{1'000'000}, UINT64_MAX, uint64_t{2'000'000}, UINT64_MAX / 2, uint64_t{3'000'000}})
    events.push_back(make_event({.run_id = "run", .source = "test", .host_ns = ns}, CollectorLineT{}));
  ASSERT_TRUE(writer->append(events));
  auto bus = ReplayBus::open(
      context_, {.address = BusAddress::in_folder(folder_), .log_path = log(), .speed = 1, .linger_s = 0});
  ASSERT_TRUE(bus) << bus.error().message();
  CountingClock clock;
  auto played = (*bus)->play(clock);
  ASSERT_TRUE(played);
  EXPECT_EQ(played->events, 5u);
  EXPECT_EQ(played->skipped_steps, 4u);
  EXPECT_LT(clock.now(), 1'000'000'000u);
}

// libzmq closes a connection that announces a frame over the limit, so nobody can make the replay hold one.
TEST_F(ReplayBusTest, AFrameThatIsLargerThanAnyEventIsRefused) {
  int stop[2];
  ASSERT_EQ(pipe(stop), 0);
  auto bus = ReplayBus::open(context_, {.address = BusAddress::in_folder(folder_),
                                        .log_path = log(),
                                        .speed = 0,
                                        .linger_s = 60,
                                        .stop_fd = stop[0]});
  ASSERT_TRUE(bus);
  Result<ReplayBus::Played> played(ReplayBus::Played{});
  std::thread player([&] { played = (*bus)->play(SystemClock()); });
  {
    zmq::context_t mine;
    zmq::socket_t push(mine, zmq::socket_type::push), monitor(mine, zmq::socket_type::pair);
    ASSERT_EQ(zmq_socket_monitor(push.handle(), "inproc://push", ZMQ_EVENT_DISCONNECTED), 0);
    monitor.connect("inproc://push");
    monitor.set(zmq::sockopt::rcvtimeo, 20'000);
    push.set(zmq::sockopt::linger, 0);
    push.connect(BusAddress::in_folder(folder_).ingest);
    const std::vector<uint8_t> large(kMaxEventBytes + 1);
    push.send(zmq::const_buffer(large.data(), large.size()), zmq::send_flags::none);
    zmq::message_t word;
    EXPECT_TRUE(monitor.recv(word)) << "the connection stayed";
  }
  EXPECT_EQ(write(stop[1], "x", 1), 1);
  player.join();
  ASSERT_TRUE(played);
  EXPECT_EQ(played->forgotten, 0u);
  close(stop[0]);
  close(stop[1]);
}

TEST_F(ReplayBusTest, ATornLogIsPlayedToItsLastWholeEventAndSaysSo) {
  std::filesystem::resize_file(log(), std::filesystem::file_size(log()) - 5);
  auto bus = ReplayBus::open(
      context_, {.address = BusAddress::in_folder(folder_), .log_path = log(), .speed = 0, .linger_s = 0});
  ASSERT_TRUE(bus);
  auto played = (*bus)->play(SystemClock());
  ASSERT_TRUE(played);
  EXPECT_EQ(played->events, kEvents - 1);
  EXPECT_NE(played->damage.find("offset"), std::string::npos) << played->damage;
}

}  // namespace
}  // namespace ktstr
