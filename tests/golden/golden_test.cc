// Every log of a released version, to the report that belongs to it. After a wanted change of reports:
//   KTSTR_UPDATE_GOLDEN=1 BUILD/unit/golden_test && git diff tests/golden
// It changes reports only, never a log.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/child.h"
#include "base/decompress.h"
#include "schemas/event_generated.h"
#include "schemas/log_format.h"
#include "schemas/log_reader.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxLog = 64u << 20;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> logs() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(KTSTR_GOLDEN))
    if (entry.path().string().ends_with(".ktlog.xz")) names.push_back(entry.path().stem().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenLog : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktstr-golden-XXXXXX";
    folder_ = mkdtemp(name);
    std::string packed = read_file(fs::path(KTSTR_GOLDEN) / (GetParam() + ".ktlog.xz"));
    auto bytes =
        decompress_stream({reinterpret_cast<const uint8_t*>(packed.data()), packed.size()}, {}, kMaxLog);
    ASSERT_TRUE(bytes) << bytes.error().message();
    std::ofstream(log(), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes->data()), static_cast<long>(bytes->size()));
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string log() const { return folder_ + "/events.ktlog"; }
  std::string folder_;
};

TEST_P(GoldenLog, GivesItsReport) {
  std::string written = folder_ + "/report.txt";
  auto run = run_captured({.argv = {KTSTR_REPORTER, log(), "--report-file", written}},
                          std::chrono::milliseconds(60'000), true);
  ASSERT_TRUE(run) << run.error().message();
  std::string report = read_file(written);
  fs::path golden = fs::path(KTSTR_GOLDEN) / (GetParam() + ".report.txt");
  if (std::getenv("KTSTR_UPDATE_GOLDEN")) std::ofstream(golden) << report;
  EXPECT_EQ(read_file(golden), report)
      << "wanted? KTSTR_UPDATE_GOLDEN=1 unit/golden_test, and look at git diff tests/golden";
}

TEST_P(GoldenLog, IsReadToItsLastEvent) {
  auto reader = LogReader::open(log());
  ASSERT_TRUE(reader) << reader.error().message();
  Payload last = Payload::NONE;
  while (true) {
    auto event = reader->next();
    ASSERT_TRUE(event);
    if (!*event) break;
    last = (**event).type();
  }
  EXPECT_EQ(reader->damage(), "");
  EXPECT_EQ(last, Payload::RunFinished);
}

INSTANTIATE_TEST_SUITE_P(Releases, GoldenLog, testing::ValuesIn(logs()), [](const auto& golden) {
  std::string name = golden.param;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

TEST(GoldenLogs, EveryFormatVersionHasOne) {
  for (uint32_t version = 1; version <= kLogFormatVersion; ++version) {
    bool found = false;
    for (const auto& name : logs())
      found = found || name.starts_with("format" + std::to_string(version) + "-");
    EXPECT_TRUE(found) << "tests/golden has no log of format version " << version;
  }
}

}  // namespace
}  // namespace ktstr
