#include "scx/pin_corpus.h"

#include <gtest/gtest.h>

#include "schemas/guest_generated.h"

namespace ktstr {
namespace {

EventBuffer log_line(const std::string& text) {
  SchedulerLineT line;
  line.text = text;
  return make_event({}, std::move(line));
}

EventBuffer dump_line(const std::string& text) {
  DumpLineT line;
  line.text = text;
  return make_event({}, std::move(line));
}

TEST(PinCorpus, TheLogComesBeforeTheDump) {
  PinCorpus corpus(true);
  corpus.fold(dump_line("dump 1"));
  corpus.fold(log_line("log 1"));
  corpus.fold(dump_line("dump 2"));
  corpus.fold(make_event({}, ConsoleLineT{}));
  EXPECT_EQ(corpus.text(), "log 1\ndump 1\ndump 2");
  EXPECT_FALSE(corpus.cut());
}

// The reproer's own corpus lost an empty first line, so a pin could match there and not in the verdict.
TEST(PinCorpus, AnEmptyFirstLineIsALine) {
  PinCorpus corpus(true);
  corpus.fold(log_line(""));
  corpus.fold(log_line("demo: spent"));
  EXPECT_EQ(corpus.text(), "\ndemo: spent");
  PinCorpus both(true);
  both.fold(log_line(""));
  both.fold(dump_line("dump"));
  EXPECT_EQ(both.text(), "\ndump");
}

// It also ended at 64 MiB: a crash whose text came after that was pinned for the verdict, and reproduced anyway.
TEST(PinCorpus, HoldsWhatTheVerdictIsMadeOf) {
  EXPECT_EQ(PinCorpus::kMaxBytes, size_t{256} << 20);
  PinCorpus corpus(true, 10);
  corpus.fold(log_line("12345"));
  EXPECT_FALSE(corpus.cut());
  corpus.fold(log_line("12345"));
  EXPECT_TRUE(corpus.cut());
  EXPECT_EQ(corpus.text(), "12345");
}

TEST(PinCorpus, ATestWithoutPinsKeepsNothing) {
  PinCorpus corpus(false);
  corpus.fold(log_line("log"));
  EXPECT_EQ(corpus.text(), "");
}

}  // namespace
}  // namespace ktstr
