#include "collector/guest_sender.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/testing/temp_dir.h"
#include "schemas/client_generated.h"
#include "schemas/event_generated.h"
#include "schemas/frame_codec.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

EventBuffer request(const std::string& name) {
  GuestCommandRequestedT fact;
  fact.name = name;
  fact.argv = {"/bin/true"};
  return make_event({.run_id = "r", .source = name}, std::move(fact));
}

EventBuffer piece(size_t size) {
  FileEmbeddedT fact;
  fact.role = "command";
  fact.path = fact.guest_path = "/x";
  fact.data.resize(size);
  return make_event({.run_id = "r", .source = "c"}, std::move(fact));
}

class GuestSenderTest : public testing::Test {
 protected:
  UniqueFd bundle(const std::vector<uint8_t>& bytes) {
    std::string path =
        dir_.write("bundle" + std::to_string(++bundles_), std::string(bytes.begin(), bytes.end()));
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  // Takes at most `at_once` bytes a time, as a slow guest does.
  std::vector<std::vector<uint8_t>> take_all(size_t at_once = 1000) {
    while (true) {
      auto bytes = sender_.next();
      if (bytes.empty()) break;
      const size_t n = std::min(at_once, bytes.size());
      decoder_.feed(bytes.first(n));
      sender_.sent(n);
    }
    std::vector<std::vector<uint8_t>> frames;
    while (auto p = decoder_.next()) frames.emplace_back(p->begin(), p->end());
    return frames;
  }
  TempDirForTest dir_;
  int bundles_ = 0;
  GuestSender sender_;
  FrameDecoder decoder_;
};

TEST_F(GuestSenderTest, FilesGoBeforeTheirCommand) {
  std::vector<uint8_t> bytes;
  append_frame(piece(100'000).bytes(), bytes);
  append_frame(piece(10).bytes(), bytes);
  ASSERT_TRUE(sender_.add(request("a"), bundle(bytes)));
  auto frames = take_all();
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(EventBuffer::from_bytes(frames[0])->type(), Payload::FileEmbedded);
  EXPECT_EQ(EventBuffer::from_bytes(frames[2])->type(), Payload::GuestCommandRequested);
  EXPECT_TRUE(sender_.waiting().contains("a"));
  EXPECT_FALSE(sender_.add(request("a"), {})) << "one of a name at a time";
  sender_.ended("a");
  EXPECT_TRUE(sender_.add(request("a"), {}));
}

TEST_F(GuestSenderTest, TheWorkComesBeforeCommandsAndHasItsOwnFrames) {
  std::vector<uint8_t> command, work;
  append_frame(piece(10).bytes(), command);
  append_frame(make_event({.source = "launcher"}, HandoverStartedT{}).bytes(), work);
  append_frame(piece(100'000).bytes(), work);
  append_frame(make_event({.source = "launcher"}, HandoverFinishedT{}).bytes(), work);
  ASSERT_TRUE(sender_.add(request("a"), bundle(command)));
  sender_.hand_over(bundle(work));
  auto frames = take_all();
  ASSERT_EQ(frames.size(), 5u);
  std::vector<Payload> types;
  for (const auto& frame : frames) types.push_back(EventBuffer::from_bytes(frame)->type());
  EXPECT_EQ(types, (std::vector{Payload::HandoverStarted, Payload::FileEmbedded, Payload::HandoverFinished,
                                Payload::FileEmbedded, Payload::GuestCommandRequested}));
}

TEST_F(GuestSenderTest, ACommandCannotPassAsWork) {
  std::vector<uint8_t> bytes;
  append_frame(make_event({.source = "launcher"}, HandoverStartedT{}).bytes(), bytes);
  ASSERT_TRUE(sender_.add(request("a"), bundle(bytes)));
  EXPECT_TRUE(take_all().empty());
  EXPECT_EQ(sender_.take_failures().size(), 1u);
}

TEST_F(GuestSenderTest, ARequestWithoutAProgramIsForOneThatRuns) {
  GuestCommandRequestedT stop;
  stop.name = "a";
  auto event = make_event({.run_id = "r", .source = "a"}, std::move(stop));
  EXPECT_FALSE(sender_.add(event, {}));
  ASSERT_TRUE(sender_.add(request("a"), {}));
  EXPECT_TRUE(sender_.add(event, {}));
  EXPECT_EQ(take_all().size(), 2u);
}

TEST_F(GuestSenderTest, ADamagedBundleFailsItsCommandAndNoOther) {
  std::vector<uint8_t> bytes;
  append_frame(piece(1000).bytes(), bytes);
  bytes[500] ^= 1;
  ASSERT_TRUE(sender_.add(request("bad"), bundle(bytes)));
  bytes.resize(600);
  ASSERT_TRUE(sender_.add(request("torn"), bundle(bytes)));
  ASSERT_TRUE(sender_.add(request("good"), {}));
  auto frames = take_all();
  ASSERT_EQ(frames.size(), 1u);
  auto failures = sender_.take_failures();
  ASSERT_EQ(failures.size(), 2u);
  EXPECT_EQ(failures[0].name, "bad");
  EXPECT_EQ(failures[1].name, "torn");
  EXPECT_EQ(sender_.waiting().size(), 1u);
}

TEST_F(GuestSenderTest, GoodbyeKeepsTheFrameInHandWholeAndDropsTheRest) {
  std::vector<uint8_t> bytes;
  append_frame(piece(10'000).bytes(), bytes);
  append_frame(piece(10'000).bytes(), bytes);
  ASSERT_TRUE(sender_.add(request("a"), bundle(bytes)));
  auto first = sender_.next().first(17);
  decoder_.feed(first);
  sender_.sent(17);
  sender_.say_goodbye();
  sender_.say_goodbye();
  auto frames = take_all();
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(EventBuffer::from_bytes(frames[0])->type(), Payload::FileEmbedded);
  EXPECT_EQ(frames[1], std::vector<uint8_t>{'K'});
  EXPECT_EQ(decoder_.damaged(), 0u);
  EXPECT_FALSE(sender_.add(request("b"), {}));
}

}  // namespace
}  // namespace ktstr
