#include "guest/init/handover.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temp_dir.h"
#include "schemas/client_generated.h"

namespace ktstr::guest {
namespace {

class HandoverTest : public testing::Test {
 protected:
  void start(uint32_t files, uint64_t bytes, size_t entropy = 64) {
    HandoverStartedT fact;
    fact.files = files;
    fact.bytes = bytes;
    fact.entropy.resize(entropy);
    EXPECT_TRUE(handover_.on_event(make_event({.source = "launcher"}, std::move(fact))));
  }
  void piece(const std::string& path, std::string_view bytes, uint64_t offset, uint64_t size,
             uint32_t mode = 0644) {
    FileEmbeddedT fact;
    fact.role = "file";
    fact.path = fact.guest_path = path;
    fact.size = size;
    fact.offset = offset;
    fact.mode = mode;
    fact.data.assign(bytes.begin(), bytes.end());
    handover_.on_event(make_event({.source = "launcher"}, std::move(fact)));
  }
  void end(uint32_t files, uint64_t bytes) {
    HandoverFinishedT fact;
    fact.files = files;
    fact.bytes = bytes;
    handover_.on_event(make_event({.source = "launcher"}, std::move(fact)));
  }
  std::string text(const std::string& path) {
    std::ifstream in(root_ / ("root" + path));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string failure() { return handover_.failure() ? "" : handover_.failure().error().message(); }

  TempDirForTest root_;
  Handover handover_{root_ / "root", 1000};
};

TEST_F(HandoverTest, FilesArriveWholeWithTheirModes) {
  start(3, 12);
  piece("/ktstr/plan.bin", "0123", 0, 8, 0600);
  EXPECT_FALSE(handover_.over());
  piece("/ktstr/plan.bin", "4567", 4, 8);
  piece("/usr/lib/x/empty", "", 0, 0);
  piece("/ktstr/sched/scx_x", "prog", 0, 4, 0755);
  end(3, 12);
  EXPECT_TRUE(handover_.finished()) << failure();
  EXPECT_EQ(text("/ktstr/plan.bin"), "01234567");
  EXPECT_EQ(text("/ktstr/sched/scx_x"), "prog");
  struct stat st{};
  ASSERT_EQ(::stat((root_ / "root/ktstr/sched/scx_x").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0755u);
  EXPECT_TRUE(std::filesystem::exists(root_ / "root/usr/lib/x/empty"));
}

TEST_F(HandoverTest, AMissingPieceFailsIt) {
  start(1, 8);
  piece("/x", "0123", 0, 8);
  piece("/x", "7", 7, 8);
  EXPECT_NE(failure().find("a piece of /x is missing"), std::string::npos) << failure();
}

TEST_F(HandoverTest, AMissingFileFailsIt) {
  start(2, 8);
  piece("/x", "0123", 0, 4);
  end(2, 8);
  EXPECT_FALSE(handover_.finished());
  EXPECT_NE(failure().find("1 files with 4 bytes came, announced were 2 with 8"), std::string::npos)
      << failure();
}

TEST_F(HandoverTest, AFileThatIsNotWholeFailsIt) {
  start(2, 8);
  piece("/x", "0123", 0, 5);
  piece("/y", "012", 0, 3);
  EXPECT_NE(failure().find("/x is not whole"), std::string::npos) << failure();
}

TEST_F(HandoverTest, MoreThanTheMemoryHoldsIsRefusedBeforeItComes) {
  start(1, 2000);
  EXPECT_NE(failure().find("memory_mb"), std::string::npos) << failure();
}

TEST_F(HandoverTest, MoreThanWasAnnouncedIsRefused) {
  start(1, 3);
  piece("/x", "0123", 0, 4);
  EXPECT_NE(failure().find("more bytes come than were announced"), std::string::npos) << failure();
}

TEST_F(HandoverTest, APathThatLeadsElsewhereIsRefused) {
  start(1, 2);
  piece("/ktstr/../../x", "no", 0, 2);
  EXPECT_NE(failure().find("no path for a file"), std::string::npos) << failure();
  EXPECT_FALSE(std::filesystem::exists(root_ / "x"));
}

TEST_F(HandoverTest, FilesWithoutAnAnnouncementAreRefused) {
  piece("/x", "no", 0, 2);
  EXPECT_NE(failure().find("before their announcement"), std::string::npos) << failure();
}

TEST_F(HandoverTest, WithoutRandomBytesItIsRefused) {
  start(0, 0, 8);
  EXPECT_NE(failure().find("8 random bytes"), std::string::npos) << failure();
}

TEST_F(HandoverTest, CommandsOfClientsAreNoPartOfIt) {
  GuestCommandRequestedT fact;
  fact.name = "x";
  EXPECT_FALSE(handover_.on_event(make_event({.source = "x"}, std::move(fact))));
  start(0, 0);
  end(0, 0);
  ASSERT_TRUE(handover_.finished());
  FileEmbeddedT later;  // of a command
  later.role = "command";
  later.path = later.guest_path = "/x";
  EXPECT_FALSE(handover_.on_event(make_event({.source = "c"}, std::move(later))));
}

}  // namespace
}  // namespace ktstr::guest
