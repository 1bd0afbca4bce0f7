// kill -9 of real processes around a hub: every event that was announced is in the log, and the log has whole records.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <set>
#include <thread>
#include <zmq.hpp>

#include "launcher/hub/hub.h"
#include "schemas/client_generated.h"
#include "schemas/log_reader.h"

namespace ktstr {
namespace {

class KillTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktstr-kill-XXXXXX";
    folder_ = mkdtemp(name);
  }
  void TearDown() override {
    for (pid_t pid : children_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    std::filesystem::remove_all(folder_);
  }
  std::string log() const { return folder_ + "/events.ktlog"; }
  BusAddress address() const { return BusAddress::in_folder(folder_); }

  // REQUIRES: no thread runs in this process.
  pid_t start(const std::function<void()>& life) {
    pid_t pid = fork();
    if (pid == 0) {
      life();
      _exit(0);
    }
    children_.insert(pid);
    return pid;
  }
  void kill_now(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    children_.erase(pid);
  }

  pid_t start_hub() {
    pid_t pid = start([this] {
      zmq::context_t context;
      auto hub = Hub::start(context, {.address = address(), .log_path = log(), .run_id = "run"});
      if (hub)
        while (true) pause();
    });
    while (!std::filesystem::exists(folder_ + "/repair.sock")) usleep(1000);
    return pid;
  }
  // Numbers its events 1, 2, ... under its own name.
  pid_t start_producer(const std::string& source) {
    return start([this, source] {
      zmq::context_t context;
      auto pub = Publisher::connect(context, address());
      for (uint64_t i = 1; pub; ++i) {
        CollectorLineT t;
        t.text = std::to_string(i) + std::string(i % 500, '.');
        if (!pub->publish(make_event({.run_id = "run", .source = source}, std::move(t)))) return;
      }
    });
  }
  // Writes the number of each event that it has heard to a pipe; the other end is returned.
  int start_ear() {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    start([&] {
      close(ends[0]);  // else the pipe has a reader for ever, and this ear never dies of its loss
      signal(SIGPIPE, SIG_DFL);
      zmq::context_t context;
      auto sub = Subscriber::connect(context, address(), log());
      while (sub) {
        auto e = sub->receive();
        if (!e) return;
        if (!*e) {
          usleep(200);
          continue;
        }
        uint64_t seq = (**e).seq();
        if (write(ends[1], &seq, sizeof seq) != sizeof seq) return;
      }
    });
    close(ends[1]);
    return ends[0];
  }
  static uint64_t heard_at_least(int ear, uint64_t wanted) {
    uint64_t seq = 0;
    while (seq < wanted && read(ear, &seq, sizeof seq) == sizeof seq) {
    }
    return seq;
  }

  // What comes until the subscriber has had nothing to say for a while. 0: nothing more came.
  static uint64_t heard_to_its_end(int ear) {
    uint64_t seq = 0;
    for (pollfd p{ear, POLLIN, 0}; poll(&p, 1, 200) > 0 && read(ear, &seq, sizeof seq) == sizeof seq;) {
    }
    return seq;
  }

  // Reads the log to its end: consecutive numbers, and of each source every event from 1 on. The number of events.
  uint64_t check_log() {
    auto reader = LogReader::open(log());
    EXPECT_TRUE(reader);
    std::map<std::string, uint64_t, std::less<>> newest;
    uint64_t n = 0;
    while (true) {
      auto e = reader->next();
      EXPECT_TRUE(e);
      if (!e || !*e) break;
      EXPECT_EQ((**e).seq(), ++n);
      if (auto* line = (**e).as<CollectorLine>()) {
        EXPECT_EQ(std::stoull(std::string(str(line->text()))), ++newest[std::string(str((**e)->source()))]);
      }
    }
    std::string damage = reader->damage();
    EXPECT_TRUE(damage.empty() || damage.find("ends inside a record") != std::string::npos) << damage;
    return n;
  }

  std::string folder_;
  std::set<pid_t> children_;
};

TEST_F(KillTest, WhatASubscriberHeardSurvivesTheHub) {
  for (uint64_t stage : {1u, 100u, 5'000u, 40'000u}) {
    SCOPED_TRACE(stage);
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    pid_t hub = start_hub();
    pid_t one = start_producer("one"), two = start_producer("two");
    int ear = start_ear();
    heard_at_least(ear, stage);
    kill_now(hub);
    // What the subscriber hears after its hub is gone was told by the hub all the same.
    kill_now(one);
    kill_now(two);
    uint64_t heard = heard_to_its_end(ear);
    while (!children_.empty()) kill_now(*children_.begin());
    close(ear);
    uint64_t logged = check_log();
    EXPECT_GE(logged, heard);
    EXPECT_GE(logged, stage);
  }
}

TEST_F(KillTest, AProducersDeathCostsNobodyElseAnything) {
  pid_t hub = start_hub();
  int ear = start_ear();
  pid_t lasting = start_producer("lasting");
  uint64_t heard = 0;
  for (int i = 0; i < 10; ++i) {
    pid_t victim = start_producer("victim-" + std::to_string(i));
    heard = heard_at_least(ear, heard + 3'000);
    kill_now(victim);
  }
  heard = heard_at_least(ear, heard + 3'000);
  kill_now(lasting);
  kill_now(hub);
  EXPECT_GE(check_log(), heard);
  close(ear);
}

TEST_F(KillTest, ASubscribersDeathCostsNobodyAnything) {
  pid_t hub = start_hub();
  pid_t producer = start_producer("one");
  int lasting = start_ear();
  uint64_t heard = 0;
  for (int i = 0; i < 5; ++i) {
    int ear = start_ear();
    heard_at_least(ear, 1);
    close(ear);  // it dies of SIGPIPE at its next word
    heard = heard_at_least(lasting, heard + 3'000);
  }
  kill_now(producer);
  kill_now(hub);
  EXPECT_GE(check_log(), heard);
  close(lasting);
}

uint64_t number_from(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// KTSTR_KILLS rounds; the course of each follows KTSTR_KILL_SEED and its number, but for the scheduling of this host.
TEST_F(KillTest, WhatWasAnnouncedSurvivesAKillOfAnybodyAtAnyMoment) {
  const uint64_t rounds = number_from("KTSTR_KILLS", 12);
  const uint64_t seed = number_from("KTSTR_KILL_SEED", std::random_device{}());
  uint64_t heard_in_all = 0;
  for (uint64_t round = 0; round < rounds && !HasFailure(); ++round) {
    SCOPED_TRACE("KTSTR_KILL_SEED=" + std::to_string(seed) + ", round " + std::to_string(round));
    std::mt19937_64 random(seed + round);
    auto wait_up_to = [&](uint64_t us) { usleep(static_cast<useconds_t>(random() % (us + 1))); };
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    const pid_t hub = start_hub();
    std::vector<pid_t> producers = {start_producer("one"), start_producer("two")};
    const int ear = start_ear();
    // Every other round is about the first moments of all, and on a slow host nothing is heard in them.
    uint64_t heard = round % 2 == 0 ? heard_at_least(ear, 1) : 0;
    wait_up_to(uint64_t{1} << (8 + random() % 9));  // 0.3 to 65 ms at most: short ones as often as long ones
    const size_t victim = random() % 3;
    kill_now(victim == 2 ? hub : producers[victim]);
    wait_up_to(5'000);
    for (size_t i = 0; i < producers.size(); ++i)
      if (i != victim) kill_now(producers[i]);
    if (victim != 2) kill_now(hub);
    heard = std::max(heard, heard_to_its_end(ear));
    while (!children_.empty()) kill_now(*children_.begin());
    close(ear);
    EXPECT_GE(check_log(), heard);
    heard_in_all += heard;
  }
  EXPECT_GE(heard_in_all, rounds / 2);
}

}  // namespace
}  // namespace ktstr
