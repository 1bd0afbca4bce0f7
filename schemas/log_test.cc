// The log: what was appended comes back, however the file was torn, cut or damaged.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "base/crc32c.h"
#include "schemas/client_generated.h"
#include "schemas/log_format.h"
#include "schemas/log_reader.h"
#include "schemas/log_writer.h"

namespace ktstr {
namespace {

EventBuffer line(int i) {
  CollectorLineT t;
  t.text = "line " + std::to_string(i);
  return make_event({.run_id = "r", .source = "test"}, std::move(t));
}

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "ktlog-" + std::to_string(getpid()) + "-" +
           testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(dir_);
    path_ = dir_ + "/events.ktlog";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  void write(int n) {
    auto writer = LogWriter::create(path_);
    ASSERT_TRUE(writer) << writer.error().message();
    for (int i = 0; i < n; ++i) {
      EventBuffer e = line(i);
      ASSERT_TRUE(writer->append({&e, 1}));
    }
  }
  // Reads to the end; the number of events, with the damage text.
  std::pair<int, std::string> read_all() {
    auto reader = LogReader::open(path_);
    if (!reader) return {-1, reader.error().message()};
    int n = 0;
    while (true) {
      auto e = reader->next();
      if (!e || !*e) break;
      ++n;
      EXPECT_EQ((**e).seq(), static_cast<uint64_t>(n));
    }
    return {n, reader->damage()};
  }

  std::string dir_, path_;
};

TEST(Crc32c, KnownAnswer) {
  std::string s = "123456789";
  EXPECT_EQ(crc32c({reinterpret_cast<const uint8_t*>(s.data()), s.size()}), 0xe3069283u);
}

TEST_F(LogTest, WhatWasWrittenComesBackInOrder) {
  write(1000);
  auto [n, damage] = read_all();
  EXPECT_EQ(n, 1000);
  EXPECT_EQ(damage, "");
}

TEST_F(LogTest, NeverOverwritesALog) {
  write(1);
  EXPECT_FALSE(LogWriter::create(path_));
}

TEST_F(LogTest, EveryTornTailYieldsTheWholeRecordsBeforeIt) {
  write(3);
  auto size = std::filesystem::file_size(path_);
  int last = 3;
  for (auto cut = size; cut >= sizeof(LogHeader); --cut) {
    std::filesystem::resize_file(path_, cut);
    auto [n, damage] = read_all();
    EXPECT_LE(n, last);
    EXPECT_GE(n, last - 1);
    last = n;
    if (n == 1 && cut > sizeof(LogHeader)) {
      SCOPED_TRACE(cut);
    }
  }
  EXPECT_EQ(last, 0);
  std::filesystem::resize_file(path_, 10);
  EXPECT_EQ(read_all().first, -1);
}

TEST_F(LogTest, TornTailIsSaidWithItsOffset) {
  write(2);
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - 1);
  auto [n, damage] = read_all();
  EXPECT_EQ(n, 1);
  EXPECT_NE(damage.find("ends inside a record"), std::string::npos) << damage;
  EXPECT_NE(damage.find("offset"), std::string::npos) << damage;
}

TEST_F(LogTest, AFlippedBitStopsTheReaderThere) {
  write(3);
  std::fstream f(path_, std::ios::in | std::ios::out | std::ios::binary);
  f.seekp(static_cast<std::streamoff>(std::filesystem::file_size(path_)) - 20);
  f.put('\x7f');
  f.close();
  auto [n, damage] = read_all();
  EXPECT_EQ(n, 2);
  EXPECT_NE(damage.find("checksum mismatch"), std::string::npos) << damage;
}

TEST_F(LogTest, ForeignFilesAreRefused) {
  std::ofstream(path_) << "this is a text file that is long enough to hold a header";
  auto [n, message] = read_all();
  EXPECT_EQ(n, -1);
  EXPECT_NE(message.find("not an event log"), std::string::npos);
}

TEST_F(LogTest, AReaderFollowsAWriter) {
  auto writer = LogWriter::create(path_);
  ASSERT_TRUE(writer);
  auto reader = LogReader::open(path_);
  ASSERT_TRUE(reader);
  for (int i = 0; i < 5; ++i) {
    auto none = reader->next();
    ASSERT_TRUE(none);
    EXPECT_FALSE(none->has_value());
    EventBuffer e = line(i);
    ASSERT_TRUE(writer->append({&e, 1}));
    auto some = reader->next();
    ASSERT_TRUE(some);
    ASSERT_TRUE(some->has_value());
  }
  EXPECT_EQ(reader->damage(), "");
}

TEST_F(LogTest, AFullDiskLeavesWholeRecordsAndStopsTheWriter) {
  auto writer = LogWriter::create(path_);
  ASSERT_TRUE(writer);
  // RLIMIT_FSIZE plays the full disk: the write is cut short, then fails (EFBIG).
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, SIG_IGN);
  rlimit small{2000, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  int stored = 0;
  Status status;
  for (int i = 0; i < 1000 && status; ++i) {
    EventBuffer e = line(i);
    status = writer->append({&e, 1});
    if (status) ++stored;
  }
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_FALSE(status);
  EventBuffer again = line(0);
  EXPECT_FALSE(writer->append({&again, 1})) << "a failed log must not go on with a hole";
  auto [n, damage] = read_all();
  EXPECT_EQ(n, stored);
  EXPECT_EQ(damage, "");
}

}  // namespace
}  // namespace ktstr
