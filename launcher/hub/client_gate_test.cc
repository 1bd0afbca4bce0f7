// The rejections of docs/protocol.md: one test for each word.
#include "launcher/hub/client_gate.h"

#include <gtest/gtest.h>

#include "schemas/client_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

class From : public Sender {
 public:
  explicit From(int connection, bool own = false) : connection_(connection), own_(own) {}
  int connection() const override { return connection_; }
  std::string description() const override { return "process 42"; }
  bool own() const override { return own_; }

 private:
  int connection_;
  bool own_;
};

class ClientGateTest : public testing::Test {
 protected:
  bool line(int connection, const std::string& source, const std::string& run_id = "run", bool own = false) {
    CollectorLineT t;
    t.text = "x";
    return admit(make_event({.run_id = run_id, .source = source}, std::move(t)), connection, own);
  }
  bool join(int connection, const std::string& name, const std::string& token,
            uint32_t version = kSchemaVersion) {
    ClientJoinedT t;
    t.name = name;
    t.client = token;
    t.schema_version = version;
    return admit(make_event({.run_id = "run", .source = name}, std::move(t)), connection, false);
  }
  bool admit(const EventBuffer& event, int connection, bool own) {
    return gate_.admit(event.bytes(), From(connection, own)).has_value();
  }
  // The one refusal that is due now, its reason up to the colon.
  ClientRefusedT told() {
    auto due = gate_.due(now_ += 2'000'000'000);
    EXPECT_EQ(due.size(), 1u);
    if (due.empty()) return {};
    due[0].reason = due[0].reason.substr(0, due[0].reason.find(':'));
    return due[0];
  }

  ClientGate gate_{"run"};
  uint64_t now_ = 0;
};

TEST_F(ClientGateTest, NamesTheProcessThatSentGarbage) {
  uint8_t garbage[] = {1, 2, 3};
  EXPECT_FALSE(gate_.admit(garbage, From(7)));
  auto due = gate_.due(0);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_TRUE(due[0].reason.starts_with("buffer: a message of 3 bytes from process 42")) << due[0].reason;
  EXPECT_EQ(due[0].refused, 1u);
}

TEST_F(ClientGateTest, GarbageOfAJoinedClientIsToldUnderItsToken) {
  ASSERT_TRUE(join(7, "trace", "tok"));
  uint8_t garbage[] = {1, 2, 3};
  EXPECT_FALSE(gate_.admit(garbage, From(7)));
  auto refusal = told();
  EXPECT_EQ(refusal.client, "tok");
  EXPECT_EQ(refusal.name, "trace");
  EXPECT_EQ(refusal.reason, "buffer");
}

TEST_F(ClientGateTest, AWrongSchemaVersionBarsTheConnectionUntilItCloses) {
  EXPECT_FALSE(join(7, "trace", "tok", kSchemaVersion + 1));
  auto refusal = told();
  EXPECT_EQ(refusal.reason, "schema");
  EXPECT_EQ(refusal.client, "tok");
  EXPECT_FALSE(line(7, "trace"));
  EXPECT_EQ(told().reason, "schema");
  EXPECT_TRUE(line(8, "trace")) << "the name was not given away";
  gate_.connection_closed(7);
  EXPECT_TRUE(line(7, "trace"));
}

TEST_F(ClientGateTest, AForeignRunAndAForeignFactAreRefused) {
  EXPECT_FALSE(line(7, "trace", "another"));
  EXPECT_EQ(told().reason, "run");
  EXPECT_FALSE(admit(make_event({.run_id = "run", .source = "trace"}, RunFinishedT{}), 7, false));
  auto refusal = told();
  EXPECT_EQ(refusal.reason, "payload");
  EXPECT_EQ(refusal.name, "trace");
}

TEST_F(ClientGateTest, ATakenNameIsFreedWithItsConnection) {
  ASSERT_TRUE(join(7, "trace", "one"));
  EXPECT_FALSE(join(8, "trace", "two"));
  auto refusal = told();
  EXPECT_EQ(refusal.reason, "name");
  EXPECT_EQ(refusal.client, "two");
  EXPECT_FALSE(line(8, "trace")) << "also without joining";
  told();
  EXPECT_TRUE(line(7, "trace"));
  EXPECT_TRUE(line(8, "other"));
  gate_.connection_closed(7);
  EXPECT_TRUE(join(8, "trace", "two"));
  EXPECT_TRUE(line(8, "trace"));
  EXPECT_TRUE(line(7, "trace")) << "its last messages were still on their way";
  gate_.connection_opened(7);
  EXPECT_FALSE(line(7, "trace"));
}

TEST_F(ClientGateTest, TheSameTokenIsTheSameClient) {
  ASSERT_TRUE(join(7, "trace", "one"));
  EXPECT_TRUE(join(8, "trace", "one"));
  gate_.connection_closed(7);
  EXPECT_FALSE(join(9, "trace", "two"));
  EXPECT_TRUE(line(8, "trace"));
}

TEST_F(ClientGateTest, AConnectionHasOneName) {
  ASSERT_TRUE(join(7, "trace", "one"));
  EXPECT_FALSE(join(7, "other", "one"));
  gate_.connection_closed(7);
  EXPECT_TRUE(join(8, "trace", "two"));
}

TEST_F(ClientGateTest, OurOwnNamesAreNotForClients) {
  EXPECT_FALSE(join(7, "monitor", "tok"));
  EXPECT_EQ(told().reason, "name");
  EXPECT_TRUE(line(8, "monitor", "run", /*own=*/true)) << "our helpers do not join";
  EXPECT_FALSE(line(7, "monitor")) << "a client, here or on another host";
  EXPECT_FALSE(line(7, "")) << "no name";
  EXPECT_FALSE(line(7, std::string(65, 'x')));
}

TEST_F(ClientGateTest, RefusalsAreCountedNotRepeated) {
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(line(7, "trace", "another"));
  auto first = gate_.due(0);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].refused, 1000u);
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(line(7, "trace", "another"));
  EXPECT_TRUE(gate_.due(500'000'000).empty()) << "within a second";
  EXPECT_TRUE(gate_.pending());
  auto second = gate_.due(1'000'000'000);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].refused, 500u);
  EXPECT_FALSE(gate_.pending());
}

TEST_F(ClientGateTest, MadeUpNamesCostNoMemoryAndFewEvents) {
  for (int i = 0; i < 10'000; ++i) line(7, "n" + std::to_string(i), "another");
  auto due = gate_.due(0);
  EXPECT_LE(due.size(), 70u);
  uint64_t sum = 0;
  for (const auto& refusal : due) sum += refusal.refused;
  EXPECT_EQ(sum, 10'000u);
}

}  // namespace
}  // namespace ktstr
