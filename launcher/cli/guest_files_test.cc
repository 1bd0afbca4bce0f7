#include "launcher/cli/guest_files.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/small_files.h"
#include "base/testing/temp_dir.h"
#include "schemas/envelope.h"
#include "schemas/guest_generated.h"

namespace ktstr {
namespace {

TEST(LackedFile, IsTakenFromWhatProgramsSay) {
  EXPECT_EQ(
      lacked_file(
          "perf: error while loading shared libraries: libdw.so.1: cannot open shared object file: No such "
          "file or directory"),
      "libdw.so.1");
  EXPECT_EQ(lacked_file("cat: /no/such/file: No such file or directory"), "/no/such/file");
  EXPECT_EQ(
      lacked_file("Traceback: FileNotFoundError: [Errno 2] No such file or directory: '/usr/lib/x.json'"),
      "/usr/lib/x.json");
  EXPECT_EQ(lacked_file("dlopen(libfoo.so.2): cannot open shared object file"), "libfoo.so.2")
      << lacked_file("dlopen(libfoo.so.2): cannot open shared object file");
  EXPECT_EQ(lacked_file("/ktstr/cmd/x/cat: /tmp/data: No such file or directory"), "/tmp/data");
  EXPECT_EQ(lacked_file("all is well with /etc/passwd"), "");
  EXPECT_EQ(lacked_file("No such file or directory"), "");
}

TEST(Fetch, IsAnAbsolutePathWithOrWithoutALocalName) {
  EXPECT_EQ(parse_fetch("/tmp/perf.data")->local_path, "perf.data");
  EXPECT_EQ(parse_fetch("/tmp/perf.data=out/p")->local_path, "out/p");
  EXPECT_FALSE(parse_fetch("perf.data"));
  EXPECT_FALSE(parse_fetch("/tmp/"));
  EXPECT_FALSE(parse_fetch("/tmp/x="));
}

class FetchedFilesTest : public testing::Test {
 protected:
  Status piece(std::string_view text, uint64_t offset, uint64_t size, const std::string& error = {},
               const std::string& path = "/tmp/x") {
    GuestFileSentT fact;
    fact.name = "n";
    fact.path = path;
    fact.size = size;
    fact.offset = offset;
    fact.data.assign(text.begin(), text.end());
    fact.error = error;
    const EventBuffer event = make_event({.source = "guest"}, std::move(fact));
    return files_.take(*event.as<GuestFileSent>());
  }
  TempDirForTest root_;
  std::string local_ = root_ / "x";
  FetchedFiles files_{{{.guest_path = "/tmp/x", .local_path = local_}}};
};

TEST_F(FetchedFilesTest, AFileTakesItsNameOnceItIsWhole) {
  ASSERT_TRUE(piece("one", 0, 6));
  EXPECT_FALSE(std::filesystem::exists(local_));
  EXPECT_EQ(files_.missing(), std::vector<std::string>{"/tmp/x"});
  ASSERT_TRUE(piece("two", 3, 6));
  EXPECT_EQ(*read_text(local_), "onetwo");
  EXPECT_TRUE(files_.missing().empty());
  EXPECT_EQ(files_.done().size(), 1u);
}

TEST_F(FetchedFilesTest, AnEmptyFileComesToo) {
  ASSERT_TRUE(piece("", 0, 0));
  EXPECT_TRUE(std::filesystem::exists(local_));
}

TEST_F(FetchedFilesTest, AMissingPieceOrTheGuestsErrorLeavesNothingBehind) {
  ASSERT_TRUE(piece("one", 0, 9));
  EXPECT_FALSE(piece("three", 6, 9));
  EXPECT_FALSE(std::filesystem::exists(local_));
  EXPECT_FALSE(std::filesystem::exists(local_ + ".part"));
  FetchedFiles other({{.guest_path = "/tmp/x", .local_path = local_}});
  files_ = std::move(other);
  EXPECT_FALSE(piece("", 0, 0, "there is none"));
}

TEST_F(FetchedFilesTest, WhatNobodyAskedForIsNotWritten) {
  ASSERT_TRUE(piece("evil", 0, 4, {}, "/etc/passwd"));
  EXPECT_FALSE(std::filesystem::exists(root_ / "passwd"));
}

}  // namespace
}  // namespace ktstr
