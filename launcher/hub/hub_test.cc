// The bus end to end in one process: no event is lost for slow, late or flooding clients.
#include "launcher/hub/hub.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <latch>
#include <thread>
#include <zmq.hpp>

#include "launcher/hub/testing/numbered_event.h"
#include "runtime/bus.h"
#include "schemas/client_generated.h"
#include "schemas/event_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

using testing::numbered;

class HubTest : public ::testing::Test {
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

  // The next line, waiting for it; empty text after 20 s. A host under load makes the hub say that it held a producer back.
  static std::string next_text(Subscriber& s) {
    for (int i = 0; i < 20'000; ++i) {
      auto e = s.receive();
      if (!e) return "error: " + e.error().message();
      if (*e) {
        if (const auto* line = (**e).as<CollectorLine>()) return std::string(str(line->text()));
        continue;
      }
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

// The next event that is no CollectorLine of the test's, waiting for it.
ClientRefusedT next_refusal(Subscriber& s) {
  for (int i = 0; i < 20'000; ++i) {
    auto e = s.receive();
    if (!e) break;
    ClientRefusedT t;
    if (*e) {
      if (auto* r = (**e).as<ClientRefused>()) return r->UnPackTo(&t), t;
      continue;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ADD_FAILURE() << "no refusal came";
  return {};
}

TEST_F(HubTest, GarbageIsToldAndHarmsNothing) {
  auto sub = subscriber();
  zmq::socket_t raw(context_, zmq::socket_type::push);
  raw.set(zmq::sockopt::linger, 0);
  raw.connect(BusAddress::in_folder(folder_).ingest);
  raw.send(zmq::buffer(std::string("not an event")));
  auto refusal = next_refusal(sub);
  EXPECT_NE(refusal.reason.find("a message of 12 bytes from process " + std::to_string(getpid())),
            std::string::npos)
      << refusal.reason;
  raw.send(zmq::message_t(), zmq::send_flags::none);
  raw.send(zmq::buffer(std::string("two")), zmq::send_flags::sndmore);
  raw.send(zmq::buffer(std::string("frames")));
  auto torn = numbered(7);
  raw.send(zmq::const_buffer(torn.bytes().data(), torn.bytes().size() / 2));
  while (hub_->refused() < 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  refusal = next_refusal(sub);
  EXPECT_EQ(refusal.refused, 3u);
  auto pub = publisher();
  ASSERT_TRUE(pub.publish(numbered(2)));
  EXPECT_EQ(next_text(sub), "2");
}

TEST_F(HubTest, ForeignRunsAndForeignFactsAreToldToTheirSource) {
  auto sub = subscriber();
  auto pub = publisher();
  ASSERT_TRUE(pub.publish(numbered(1, "another run")));
  auto refusal = next_refusal(sub);
  EXPECT_EQ(refusal.name, "test");
  EXPECT_TRUE(refusal.reason.starts_with("run: ")) << refusal.reason;
  // An extra collector cannot end the run.
  ASSERT_TRUE(pub.publish(make_event({.run_id = "run", .source = "mine"}, RunFinishedT{})));
  refusal = next_refusal(sub);
  EXPECT_EQ(refusal.name, "mine");
  EXPECT_TRUE(refusal.reason.starts_with("payload: ")) << refusal.reason;
  EXPECT_EQ(hub_->refused(), 2u);
}

TEST_F(HubTest, ATakenNameIsToldByTokenAndFreedByTheEndOfItsHolder) {
  auto joined = [](const std::string& token) {
    ClientJoinedT t;
    t.name = "trace";
    t.client = token;
    t.schema_version = kSchemaVersion;
    return make_event({.run_id = "run", .source = "trace"}, std::move(t));
  };
  auto sub = subscriber();
  auto accepted = [&] {
    for (int i = 0; i < 20'000; ++i) {
      auto e = sub.receive();
      if (!e) return std::string("error");
      if (*e) return std::string(payload_name((**e).type()));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return std::string();
  };
  std::optional<Publisher> first(publisher());
  ASSERT_TRUE(first->publish(joined("one")));
  ASSERT_EQ(accepted(), "ClientJoined");
  auto second = publisher();
  ASSERT_TRUE(second.publish(joined("two")));
  auto refusal = next_refusal(sub);
  EXPECT_EQ(refusal.client, "two");
  EXPECT_TRUE(refusal.reason.starts_with("name: ")) << refusal.reason;
  first.reset();
  // The hub hears of the closed connection in its own time: ask until it has.
  std::string answer;
  for (int i = 0; i < 200 && answer != "ClientJoined"; ++i) {
    ASSERT_TRUE(second.publish(joined("two")));
    answer = accepted();
  }
  EXPECT_EQ(answer, "ClientJoined");
}

TEST_F(HubTest, AnUnstampedEventGetsTheTimeOfItsArrival) {
  auto sub = subscriber();
  auto pub = publisher();
  ASSERT_TRUE(pub.publish(numbered(1)));
  for (int i = 0; i < 20'000; ++i) {
    auto e = sub.receive();
    ASSERT_TRUE(e);
    if (*e) {
      EXPECT_GT((**e)->stamp()->host_ns(), 0u);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  FAIL() << "no event";
}

TEST_F(HubTest, LargeEventsReachEverybodyThroughTheLog) {
  auto sub = subscriber();
  auto pub = publisher();
  ASSERT_TRUE(pub.publish(numbered(1, "run", 100'000)));
  ASSERT_TRUE(pub.publish(numbered(2)));
  EXPECT_TRUE(next_text(sub).starts_with("1."));
  EXPECT_EQ(next_text(sub), "2");
}

TEST_F(HubTest, ASubscriberWithoutTheLogIsRepairedByTheHub) {
  auto pub = publisher();
  constexpr uint64_t kEvents = 5000;
  for (uint64_t i = 1; i <= kEvents; ++i) ASSERT_TRUE(pub.publish(numbered(i, "run", i % 7 * 100)));
  while (hub_->last_seq() < kEvents) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto late = Subscriber::connect(context_, BusAddress::in_folder(folder_), "").value();
  for (uint64_t i = 1; i <= kEvents; ++i) ASSERT_EQ(std::stoull(next_text(late)), i);
  EXPECT_EQ(late.repaired(), kEvents);
  ASSERT_TRUE(pub.publish(numbered(kEvents + 1)));
  EXPECT_EQ(next_text(late), std::to_string(kEvents + 1));
}

TEST_F(HubTest, TheRepairSocketAnswersAPlainReq) {
  auto pub = publisher();
  for (uint64_t i = 1; i <= 10; ++i) ASSERT_TRUE(pub.publish(numbered(i)));
  while (hub_->last_seq() < 10) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  zmq::socket_t req(context_, zmq::socket_type::req);
  req.set(zmq::sockopt::linger, 0);
  req.set(zmq::sockopt::rcvtimeo, 20'000);
  req.connect(BusAddress::in_folder(folder_).repair);
  auto ask = [&](const std::vector<uint64_t>& request) {
    req.send(zmq::const_buffer(request.data(), request.size() * 8), zmq::send_flags::none);
    std::vector<uint64_t> seqs;
    zmq::message_t frame;
    do {
      if (!req.recv(frame)) return std::vector<uint64_t>{99};
      auto event = EventBuffer::from_bytes({static_cast<const uint8_t*>(frame.data()), frame.size()});
      if (event) seqs.push_back(event->seq());
    } while (frame.more());
    return seqs;
  };
  EXPECT_EQ(ask({3, 5}), (std::vector<uint64_t>{3, 4, 5}));
  EXPECT_EQ(ask({9, 1000}), (std::vector<uint64_t>{9, 10}));
  EXPECT_EQ(ask({1, 1}), (std::vector<uint64_t>{1}));
  EXPECT_TRUE(ask({11, 11}).empty());
  EXPECT_TRUE(ask({5, 3}).empty());
  EXPECT_TRUE(ask({0, 3}).empty());
  EXPECT_TRUE(ask({1}).empty()) << "a request of 8 bytes";
  EXPECT_EQ(ask({2, 2}), (std::vector<uint64_t>{2}));
}

uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  uint64_t size = 0, resident = 0;
  in >> size >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// A subscriber in a process of its own: reads the first event, stops itself, and once continued reads on to `events`.
pid_t start_stopping_subscriber(const std::string& folder, const std::string& log, uint64_t events) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  zmq::context_t context;
  auto sub = Subscriber::connect(context, BusAddress::in_folder(folder), log).value();
  for (uint64_t n = 0; n < events;) {
    auto e = sub.receive();
    if (!e || (*e && (**e).seq() != n + 1)) _exit(1);
    if (!*e) usleep(500);
    if (*e && ++n == 1) raise(SIGSTOP);
  }
  _exit(0);
}

TEST_F(HubTest, AStoppedProcessCostsTheHubNoMemoryAndMissesNothing) {
  auto pub = publisher();
  ASSERT_TRUE(pub.publish(numbered(1)));
  // 300 MB, singly, so that each event is really sent over PUB: none of it may pile up for one who does not read.
  constexpr uint64_t kEvents = 20'000;
  pid_t reader = start_stopping_subscriber(folder_, log(), kEvents);
  int status = 0;
  ASSERT_EQ(waitpid(reader, &status, WUNTRACED), reader);
  ASSERT_TRUE(WIFSTOPPED(status));
  uint64_t before = resident_bytes();
  for (uint64_t i = 2; i <= kEvents; ++i) {
    ASSERT_TRUE(pub.publish(numbered(i, "run", 15'000)));
    while (hub_->last_seq() < i) std::this_thread::yield();
  }
  uint64_t after = resident_bytes();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which keep what was freed for a while
  EXPECT_LT(after, before + (64u << 20)) << "grew by " << (after - before) / 1024 << " KiB";
#else
  (void)before, (void)after;
#endif
  kill(reader, SIGCONT);
  ASSERT_EQ(waitpid(reader, &status, 0), reader);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the reader missed events";
}

// A hub that takes nothing for a while, then everything.
TEST(PublisherTest, AFloodingProducerIsHeldAndSaysSo) {
  char name[] = "/tmp/ktstr-held-XXXXXX";
  std::string folder = mkdtemp(name);
  zmq::context_t context;
  zmq::socket_t in(context, zmq::socket_type::pull);
  in.set(zmq::sockopt::rcvhwm, 10);
  in.set(zmq::sockopt::linger, 0);
  in.bind(BusAddress::in_folder(folder).ingest);
  constexpr uint64_t kEvents = 5000;
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<bool> held{false};
  std::latch all_heard(1);
  std::thread flood([&] {
    auto pub = Publisher::connect(context, BusAddress::in_folder(folder)).value();
    pub.set_give_up([&] { return held = true, false; });
    for (uint64_t i = 1; i <= kEvents; ++i) EXPECT_TRUE(pub.publish(numbered(i, "run", 5000)));
    EXPECT_GT(pub.held_back(), 0u);
    // libzmq's PULL, other than the hub, loses what it had not yet read when its peer goes.
    all_heard.wait();
  });
  while (!held) std::this_thread::yield();
  uint64_t lines = 0, told = 0, told_ns = 0;
  zmq::message_t message;
  while (lines < kEvents) {
    ASSERT_TRUE(in.recv(message));
    auto event = EventBuffer::from_bytes({static_cast<const uint8_t*>(message.data()), message.size()});
    ASSERT_TRUE(event);
    if (event->type() == Payload::CollectorLine) ++lines;
    if (auto* t = event->as<ProducerHeld>()) {
      ++told;
      EXPECT_GE(t->held_ns(), 1'000'000'000u);
      told_ns += t->held_ns();
      EXPECT_GE(t->events(), 1u);
      EXPECT_EQ(str((*event)->source()), "test");
    }
  }
  all_heard.count_down();
  flood.join();
  // Once for each time that it was held: a slow host holds it while this test reads, too.
  EXPECT_GE(told, 1u);
  EXPECT_LE(told_ns, static_cast<uint64_t>(
                         std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count()));
  std::filesystem::remove_all(folder);
}

// libzmq would lose what the kernel holds for a peer that closes while it is blocked.
TEST_F(HubTest, AProducerThatFloodsAndEndsLosesNotItsLastWords) {
  constexpr uint64_t kEach = 50'000;
  std::vector<std::thread> producers;
  for (int p = 0; p < 3; ++p)
    producers.emplace_back([&] {
      auto pub = publisher();
      auto event = numbered(1, "run", 150);
      for (uint64_t i = 0; i < kEach; ++i) EXPECT_TRUE(pub.publish(event));
    });
  for (auto& p : producers) p.join();
  for (int i = 0; i < 10'000 && hub_->last_seq() < 3 * kEach; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(hub_->last_seq(), 3 * kEach);  // more: the hub tells of a producer that it held
}

// A process that the launcher did not start says that the run failed.
TEST_F(HubTest, AVerdictOfAStrangerIsRefused) {
  auto sub = subscriber();
  const pid_t child = ::fork();
  if (child == 0) {
    if (::fork() == 0) {
      zmq::context_t context;
      auto pub = Publisher::connect(context, BusAddress::in_folder(folder_));
      VerdictT verdict;
      verdict.exit_code = 1;
      ::_exit(pub && pub->publish(make_event({.run_id = "run", .source = "reporter"}, std::move(verdict)))
                  ? 0
                  : 1);
    }
    ::wait(nullptr);
    ::_exit(0);
  }
  auto refusal = next_refusal(sub);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(refusal.name, "reporter");
  EXPECT_TRUE(refusal.reason.starts_with("name: ")) << refusal.reason;
  // Ours may.
  VerdictT verdict;
  auto pub = publisher();
  ASSERT_TRUE(pub.publish(make_event({.run_id = "run", .source = "reporter"}, std::move(verdict))));
  while (true) {
    auto e = sub.receive();
    ASSERT_TRUE(e);
    if (*e && (**e).type() == Payload::Verdict) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_F(HubTest, WhatIsNoZeroMqAtAllIsToldToo) {
  auto sub = subscriber();
  int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = folder_ + "/ingest.sock";
  std::strcpy(address.sun_path, path.c_str());
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::write(fd, "hello, hub\n", 11), 11);
  auto refusal = next_refusal(sub);
  EXPECT_NE(refusal.reason.find("process " + std::to_string(getpid()) + " is no ZeroMQ peer"),
            std::string::npos)
      << refusal.reason;
  ::close(fd);
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
