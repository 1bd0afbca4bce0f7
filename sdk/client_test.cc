// The client library against a real hub, in one process.
#include "ktstr/client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>
#include <zmq.hpp>

#include "base/testing/temp_dir.h"
#include "launcher/hub/hub.h"
#include "runtime/curve_keys.h"
#include "schemas/client_generated.h"
#include "schemas/event_generated.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ClientTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_.write("bus/run.json", "{}");
    auto hub = Hub::start(
        zmq_,
        {.address = BusAddress::in_folder(dir_ / "bus"), .log_path = dir_ / "events.ktlog", .run_id = "run"});
    ASSERT_TRUE(hub) << hub.error().message();
    hub_ = std::move(hub).value();
  }
  RunInfo run() const { return {.run_id = "run", .bus = dir_ / "bus", .log = dir_ / "events.ktlog"}; }
  Client client(const std::string& name, bool await_join = true) {
    auto made = Client::connect(run(), {.name = name, .await_join = await_join});
    EXPECT_TRUE(made) << made.error().message();
    return std::move(made).value();
  }
  // The next line's text, passing over the rest; empty after 20 s.
  static std::string next_line(Client& c) {
    while (true) {
      auto event = c.next(seconds(20));
      if (!event) return "error: " + event.error().message();
      if (!*event) return "";
      if (auto* line = (*event)->as<CollectorLine>()) return line->text()->str();
    }
  }

  TempDirForTest dir_;
  zmq::context_t zmq_;
  std::unique_ptr<Hub> hub_;
};

TEST_F(ClientTest, ALineIsHeardByAllAlsoByWhoCameLater) {
  Client a = client("a");
  ASSERT_TRUE(a.line("hello"));
  EXPECT_EQ(next_line(a), "hello");
  Client late = client("");
  EXPECT_EQ(next_line(late), "hello");
  EXPECT_FALSE(late.line("a listener has no voice"));
}

TEST_F(ClientTest, ATakenNameAndOneOfKtstrsOwnAreRefusedAtTheDoor) {
  Client first = client("trace");
  auto second = Client::connect(run(), {.name = "trace", .await_join = true});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kInvalid);
  EXPECT_NE(second.error().message().find("taken"), std::string::npos) << second.error().message();
  EXPECT_FALSE(Client::connect(run(), {.name = "monitor", .await_join = true}));
  ASSERT_TRUE(first.line("still mine"));
  EXPECT_EQ(next_line(first), "still mine");
}

TEST_F(ClientTest, AFactThatIsNotForAClientIsRefusedByNext) {
  Client c = client("c");
  ASSERT_TRUE(c.publish(RunFinishedT{}));
  while (true) {
    auto event = c.next(seconds(20));
    if (!event) {
      EXPECT_NE(event.error().message().find("payload"), std::string::npos) << event.error().message();
      return;
    }
    ASSERT_TRUE(*event) << "no refusal came";
    ASSERT_NE((*event)->type(), Payload::RunFinished);
  }
}

TEST_F(ClientTest, FromSeqLeavesOutWhatCameBefore) {
  Client c = client("c");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(c.line(std::to_string(i)));
  EXPECT_EQ(next_line(c), "0");
  EXPECT_EQ(next_line(c), "1");
  EXPECT_EQ(next_line(c), "2");
  auto tail = Client::connect(run(), {.from_seq = hub_->last_seq()});
  ASSERT_TRUE(tail);
  EXPECT_EQ(next_line(*tail), "2");
}

TEST_F(ClientTest, ALongLineIsCutAndSaysSo) {
  Client c = client("c");
  ASSERT_TRUE(c.line(std::string(5000, 'x')));
  while (true) {
    auto event = c.next(seconds(20));
    ASSERT_TRUE(event && *event);
    auto* line = (*event)->as<CollectorLine>();
    if (!line) continue;
    EXPECT_EQ(line->text()->size(), 4096u);
    EXPECT_TRUE(line->truncated());
    return;
  }
}

TEST(RemoteClient, HearsAndStatesFromAnotherMachine) {
  TempDirForTest dir;
  zmq::context_t zmq;
  const std::string key = generate_client_key(dir / "keys", "alpha").value();
  std::unique_ptr<Hub> hub;
  std::string endpoint;
  for (int i = 0; i < 50 && !hub; ++i) {  // a port may be taken
    endpoint = "tcp://127.0.0.1:" + std::to_string(20'000 + (::getpid() * 3 + i * 7) % 40'000);
    dir.write("bus/x", "");
    auto started = Hub::start(zmq, {.address = BusAddress::in_folder(dir / "bus"),
                                    .log_path = dir / "events.ktlog",
                                    .run_id = "run",
                                    .listen = BusListen{BusAddress::remote(endpoint).value(),
                                                        read_server_keys(dir / "keys").value()}});
    if (started) hub = std::move(started).value();
  }
  ASSERT_TRUE(hub);
  auto own = Publisher::connect(zmq, BusAddress::in_folder(dir / "bus")).value();
  RunStartedT started;
  started.tool_version = "1";
  started.run_id = "run";
  started.spec = std::make_unique<TestSpecT>();
  started.spec->name = "t";
  started.spec->topology = std::make_unique<TopologyT>();
  ASSERT_TRUE(own.publish(make_event({.run_id = "run", .source = "launcher"}, std::move(started))));
  while (hub->last_seq() < 1) std::this_thread::yield();

  auto run = remote_run(endpoint, key);
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(run->run_id, "run");
  auto client = Client::connect(*run, {.name = "far", .await_join = true});
  ASSERT_TRUE(client) << client.error().message();
  ASSERT_TRUE(client->line("from afar"));
  bool heard = false;
  while (!heard) {
    auto event = client->next(seconds(20));
    ASSERT_TRUE(event && *event);
    auto* line = (*event)->as<CollectorLine>();
    heard = line && line->text()->string_view() == "from afar";
    EXPECT_TRUE(!heard || (*event)->get().stamp()->host_ns() > 0) << "the hub's time of arrival";
  }
  ASSERT_TRUE(own.publish(make_event({.run_id = "run", .source = "launcher"}, RunFinishedT{})));
  EXPECT_TRUE(client->run_alive());
  while (client->run_alive()) ASSERT_TRUE(client->next(seconds(20)));

  EXPECT_FALSE(remote_run("tcp://nowhere", key));
  EXPECT_FALSE(remote_run(endpoint, dir / "no.key"));
}

TEST(FindRun, AnAnswerThatIsNoListIsAnError) {
  TempDirForTest dir;
  auto fake = dir.write("fake", "#!/bin/sh\necho nonsense\n", /*executable=*/true);
  EXPECT_FALSE(live_runs({.ktstr_launch = fake}));
  auto none = dir.write("none", "#!/bin/sh\necho '[]'\n", /*executable=*/true);
  auto run = find_run("latest", {.ktstr_launch = none});
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().kind(), ErrorKind::kNotFound);
  auto two = dir.write("two",
                       "#!/bin/sh\necho "
                       "'[{\"run_id\":\"a/x\",\"bus\":\"/b\",\"log\":\"/"
                       "l\",\"pid\":7,\"start_ns\":9},{\"run_id\":\"b/y\"}]'\n",
                       true);
  EXPECT_EQ(find_run("latest", {.ktstr_launch = two})->run_id, "b/y");
  EXPECT_EQ(find_run("x", {.ktstr_launch = two})->start_ns, 9u);
  EXPECT_FALSE(live_runs({.ktstr_launch = dir / "not-there"}));
}

}  // namespace
}  // namespace ktstr
