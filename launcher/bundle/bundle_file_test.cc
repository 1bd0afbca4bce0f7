#include "launcher/bundle/bundle_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/small_files.h"
#include "base/testing/temp_dir.h"

namespace ktstr {
namespace {

using ::testing::HasSubstr;

struct Member {
  std::string name, text;
  mode_t type = AE_IFREG;
  std::string link = {};
};

// An archive as somebody else may have made it.
std::string archive_of(const TempDirForTest& dir, const std::vector<Member>& members) {
  const std::string path = dir / "hostile.tar.zst";
  archive* out = archive_write_new();
  archive_write_set_format_pax_restricted(out);
  archive_write_add_filter_zstd(out);
  archive_write_open_filename(out, path.c_str());
  for (const Member& member : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, member.name.c_str());
    archive_entry_set_filetype(entry, member.type);
    archive_entry_set_perm(entry, 0644);
    if (member.type == AE_IFLNK) archive_entry_set_symlink(entry, member.link.c_str());
    if (member.type == AE_IFREG && !member.link.empty())
      archive_entry_set_hardlink(entry, member.link.c_str());
    archive_entry_set_size(entry, static_cast<la_int64_t>(member.text.size()));
    archive_write_header(out, entry);
    archive_write_data(out, member.text.data(), member.text.size());
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
  return path;
}

std::string refusal(const std::string& path, const BundleBounds& bounds = {}) {
  auto log = log_of_bundle(path, bounds);
  return log ? "taken" : log.error().message();
}

const Member kGoodLog = {"ktstr-bundle/events.ktlog", "KTSTRLOG..."};

TEST(BundleFile, WhatWasPackedComesOut) {
  TempDirForTest dir;
  const std::string log = dir.write("events.ktlog", std::string(700'000, 'k') + "end");
  auto writer = BundleWriter::create(dir / "b.tar.zst");
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->add("README.md", "words").ok());
  ASSERT_TRUE(writer->add("empty", "").ok());
  ASSERT_TRUE(writer->add_file(kBundleLog, log).ok());
  EXPECT_FALSE(path_exists(dir / "b.tar.zst")) << "not before it is whole";
  ASSERT_TRUE(writer->finish().ok());
  struct stat st{};
  ASSERT_EQ(0, ::stat((dir / "b.tar.zst").c_str(), &st));
  EXPECT_EQ(0600u, st.st_mode & 0777);
  EXPECT_TRUE(looks_like_bundle(dir / "b.tar.zst"));
  EXPECT_FALSE(looks_like_bundle(log));
  auto out = log_of_bundle(dir / "b.tar.zst");
  ASSERT_TRUE(out) << out.error().to_string();
  EXPECT_EQ(*read_binary(log, 1 << 20), *read_binary("/proc/self/fd/" + std::to_string(out->get()), 1 << 20));
}

TEST(BundleFile, ABundleThatIsNotFinishedLeavesNothing) {
  TempDirForTest dir;
  {
    auto writer = BundleWriter::create(dir / "b.tar.zst");
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->add("README.md", "words").ok());
    EXPECT_FALSE(writer->add_file("x", dir / "missing").ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir / "."));
}

TEST(BundleFile, HostileMembersAreRefused) {
  TempDirForTest dir;
  EXPECT_EQ("taken", refusal(archive_of(dir, {kGoodLog})));
  EXPECT_THAT(refusal(archive_of(dir, {{"../events.ktlog", "x"}})), HasSubstr("outside of"));
  EXPECT_THAT(refusal(archive_of(dir, {{"/etc/passwd", "x"}, kGoodLog})), HasSubstr("outside of"));
  EXPECT_THAT(refusal(archive_of(dir, {{"ktstr-bundle/../events.ktlog", "x"}})), HasSubstr("outside of"));
  EXPECT_THAT(refusal(archive_of(dir, {{"ktstr-bundle/events.ktlog", "", AE_IFLNK, "/etc/passwd"}})),
              HasSubstr("no plain file"));
  EXPECT_THAT(refusal(archive_of(dir, {{"ktstr-bundle/a", ""},
                                       {"ktstr-bundle/events.ktlog", "", AE_IFREG, "ktstr-bundle/a"}})),
              HasSubstr("no plain file"));
  EXPECT_THAT(refusal(archive_of(dir, {{"ktstr-bundle/events.ktlog", "", AE_IFIFO}})),
              HasSubstr("no plain file"));
  EXPECT_THAT(refusal(archive_of(dir, {kGoodLog, kGoodLog})), HasSubstr("two logs"));
  EXPECT_THAT(refusal(archive_of(dir, {{"ktstr-bundle/README.md", "x"}})),
              HasSubstr("holds no events.ktlog"));
}

TEST(BundleFile, SizesAreBounded) {
  TempDirForTest dir;
  const std::string zeros(1 << 20, '\0');  // a small file that unpacks to much
  EXPECT_THAT(refusal(archive_of(dir, {{kGoodLog.name, zeros}}), {.log_bytes = 1000}),
              HasSubstr("too large"));
  EXPECT_THAT(refusal(archive_of(dir, {{"ktstr-bundle/a", zeros}, kGoodLog}), {.other_bytes = 1000}),
              HasSubstr("too large"));
  EXPECT_THAT(refusal(archive_of(dir, std::vector<Member>(9, {"ktstr-bundle/a", "x"})), {.members = 8}),
              HasSubstr("more than 8"));
}

TEST(BundleFile, ATornOrForeignFileIsOneClearError) {
  TempDirForTest dir;
  const std::string path = archive_of(dir, {{"ktstr-bundle/a", std::string(100'000, 'a')}, kGoodLog});
  const std::string whole = *read_binary(path, 1 << 20);
  for (size_t part : {whole.size() / 2, whole.size() - 5, size_t{20}, size_t{4}}) {
    const std::string torn = dir.write("torn.tar.zst", whole.substr(0, part));
    EXPECT_THAT(refusal(torn), HasSubstr("torn.tar.zst: not a usable bundle: ")) << part;
  }
  EXPECT_THAT(refusal(dir.write("text", "no archive at all")), HasSubstr("not a usable bundle"));
}

}  // namespace
}  // namespace ktstr
