#include "launcher/vm/handover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/testing/temp_dir.h"
#include "schemas/envelope.h"
#include "schemas/frame_codec.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

using testing::HasSubstr;

class HandoverBundleTest : public testing::Test {
 protected:
  std::vector<EventBuffer> read_back() {
    std::ifstream in(path_, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    FrameDecoder decoder;
    decoder.feed({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
    decoder.finish();
    std::vector<EventBuffer> events;
    while (auto payload = decoder.next()) events.push_back(EventBuffer::from_bytes(*payload).value());
    EXPECT_EQ(decoder.damaged(), 0u);
    return events;
  }
  HandoverRequest request() {
    return {.path = path_, .restored = true, .unix_ns = 77, .entropy = fresh_entropy().value()};
  }

  TempDirForTest dir_;
  std::string path_ = dir_ / "handover";
};

TEST_F(HandoverBundleTest, HasTheFilesOfTheTestAndNothingGeneric) {
  const std::string big = std::string(1 << 20, 'a') + std::string(1 << 20, 'b') + "c";
  std::ofstream(dir_ / "tool") << big;
  ::chmod((dir_ / "tool").c_str(), 0755);
  Initramfs files;
  ASSERT_TRUE(files.add_bytes("/init", "generic"));
  files.begin_handover();
  ASSERT_TRUE(files.add_file("/lib/x/tool", dir_ / "tool"));
  ASSERT_TRUE(files.add_bytes("/ktstr/plan.bin", "plan", 0600));
  ASSERT_TRUE(files.add_bytes("/init", "generic")) << "the same content again";
  EXPECT_FALSE(files.add_bytes("/init", "another"));
  ASSERT_TRUE(write_handover(files, request()));
  struct stat st{};
  ASSERT_EQ(::stat(path_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);

  auto events = read_back();
  ASSERT_EQ(events.size(), 6u);
  const auto* begun = events.front().as<HandoverStarted>();
  ASSERT_NE(begun, nullptr);
  EXPECT_TRUE(begun->restored());
  EXPECT_EQ(begun->unix_ns(), 77u);
  EXPECT_EQ(begun->entropy()->size(), 64u);
  EXPECT_EQ(begun->files(), 2u);
  EXPECT_EQ(begun->bytes(), big.size() + 4);
  std::map<std::string, std::string> content;
  for (const auto& event : events)
    if (auto* piece = event.as<FileEmbedded>()) {
      std::string& file = content[std::string(str(piece->guest_path()))];
      EXPECT_EQ(piece->offset(), file.size());
      if (piece->data()) file.append(piece->data()->begin(), piece->data()->end());
    }
  EXPECT_EQ(content.size(), 2u);
  EXPECT_TRUE(content["/usr/lib/x/tool"] == big);
  EXPECT_EQ(content["/ktstr/plan.bin"], "plan");
  EXPECT_NE(events.back().as<HandoverFinished>(), nullptr);
}

TEST_F(HandoverBundleTest, ALibraryThatTheGuestHasIsHandedOverOnlyWhenTheTestBringsAnotherOne) {
  const std::string libc = dir_ / "libc", other_path = dir_ / "other";
  std::ofstream(libc) << "the host's";
  std::ofstream(other_path) << "recorded on another machine";
  const std::string guest = "/lib/x86_64-linux-gnu/libc.so.6";
  for (const bool other : {false, true}) {
    Initramfs files;
    ASSERT_TRUE(files.add_library(guest, libc));
    EXPECT_FALSE(files.add_file(guest, other_path)) << "two generic ones";
    files.begin_handover();
    ASSERT_TRUE(files.add_file(guest, other ? other_path : libc, 0755));
    std::vector<std::string> handed, generic;
    auto regular = [](std::vector<std::string>& into) {
      return [&into](const Initramfs::File& file) -> Status {
        if (S_ISREG(file.mode)) into.push_back(file.guest_path + " " + file.host_path);
        return {};
      };
    };
    ASSERT_TRUE(files.visit(Initramfs::Part::kHandover, regular(handed)));
    ASSERT_TRUE(files.visit(Initramfs::Part::kGeneric, regular(generic)));
    const std::string path = "/usr/lib/x86_64-linux-gnu/libc.so.6 ";
    const std::vector<std::string> expected =
        other ? std::vector<std::string>{path + other_path} : std::vector<std::string>{};
    EXPECT_EQ(handed, expected);
    EXPECT_EQ(std::count(generic.begin(), generic.end(), path + libc), 1)
        << "the key of a template does not depend on the test";
  }
}

TEST_F(HandoverBundleTest, AFileThatShrinksIsAnErrorAndNothingIsLeft) {
  std::ofstream(dir_ / "f") << std::string(1000, 'x');
  Initramfs files;
  files.begin_handover();
  ASSERT_TRUE(files.add_file("/f", dir_ / "f"));
  std::ofstream(dir_ / "f") << "x";
  auto written = write_handover(files, request());
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().message(), HasSubstr("shrank"));
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".part"));
}

TEST_F(HandoverBundleTest, NoTwoVmsGetTheSameRandomBytes) {
  EXPECT_NE(fresh_entropy().value(), fresh_entropy().value());
}

}  // namespace
}  // namespace ktstr
