// Every log of a released version, to the report that belongs to it. After a wanted change of reports:
//   KTSTR_UPDATE_GOLDEN=1 BUILD/unit/golden_test && git diff tests/golden
// It changes reports only, never a log.
#include <gtest/gtest.h>
#include <unistd.h>

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

// The documents of a whole log, by the programs themselves.
class GoldenDocuments : public GoldenLog {
 protected:
  std::string run(std::vector<std::string> argv, std::vector<std::string> env = {}) {
    env.push_back("XDG_STATE_HOME=" + folder_ + "/state");
    auto done = run_captured({.argv = std::move(argv), .env = std::move(env)},
                             std::chrono::milliseconds(120'000), true);
    if (!done) return done.error().message();
    exit_ = done->exit.exit_code;
    return done->out;
  }
  // All members behind each other.
  std::string unpacked(const std::string& bundle) {
    EXPECT_TRUE(fs::create_directories(folder_ + "/unpacked"));
    EXPECT_EQ("", run({"tar", "--zstd", "-xf", bundle, "-C", folder_ + "/unpacked"}));
    std::string all;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ + "/unpacked"))
      if (entry.is_regular_file()) all += read_file(entry.path());
    return all;
  }
  std::string report() { return read_file(fs::path(KTSTR_GOLDEN) / (GetParam() + ".report.txt")); }
  int exit_ = -1;
};

TEST_P(GoldenDocuments, ABundleGivesTheReportThatItsLogGives) {
  std::ofstream(folder_ + "/frozen.json") << "{\"state\": 1}";
  const std::string bundle = folder_ + "/b.tar.zst";
  EXPECT_EQ(0, (run({KTSTR_LAUNCH, "bundle", log(), "-o", bundle}), exit_));
  EXPECT_EQ(report(), run({KTSTR_LAUNCH, "replay", bundle}));
  EXPECT_EQ(1, exit_) << "the verdict of the log";
  const std::string all = unpacked(bundle);
  EXPECT_EQ(report(), read_file(folder_ + "/unpacked/ktstr-bundle/report.txt"));
  EXPECT_EQ(read_file(log()), read_file(folder_ + "/unpacked/ktstr-bundle/events.ktlog"));
  for (const char* name :
       {"README.md", "report.md", "index.html", "versions.txt", "spec.json", "qemu.txt", "rerun.txt"})
    EXPECT_GT(fs::file_size(folder_ + "/unpacked/ktstr-bundle/" + name), 20u) << name;
  run({KTSTR_LAUNCH, "replay", bundle, "--html", folder_ + "/page"});
  EXPECT_EQ(read_file(folder_ + "/unpacked/ktstr-bundle/index.html"),
            read_file(folder_ + "/page/index.html"));
}

TEST_P(GoldenDocuments, ARedactedBundleNamesNoUserHostOrHome) {
  // Names that this log holds: the folder of its sources, and a comm of its guest as the user's name.
  const std::vector<std::string> env = {"USER=demo_charge", "LOGNAME=demo_charge", "HOME=/work/main"};
  const std::string bundle = folder_ + "/b.tar.zst";
  EXPECT_EQ(0, (run({KTSTR_LAUNCH, "bundle", log(), "-o", bundle, "--redact"}, env), exit_));
  ASSERT_NE(std::string::npos, report().find("demo_charge"));
  ASSERT_NE(std::string::npos, read_file(log()).find("/work/main"));
  const std::string all = unpacked(bundle);
  EXPECT_EQ(std::string::npos, all.find("demo_charge"));
  EXPECT_EQ(std::string::npos, all.find("/work/main"));
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  if (std::string(host).size() >= 4) {
    EXPECT_EQ(std::string::npos, all.find(host));
  }
  // The report is the one of the log but for the names: the same lines, of the same length.
  const std::string again = run({KTSTR_LAUNCH, "replay", bundle});
  EXPECT_EQ(1, exit_);
  EXPECT_EQ(report().size(), again.size());
  EXPECT_EQ(again, read_file(folder_ + "/unpacked/ktstr-bundle/report.txt"));
  auto reader = LogReader::open(folder_ + "/unpacked/ktstr-bundle/events.ktlog");
  ASSERT_TRUE(reader);
  uint64_t seq = 0;
  while (true) {
    auto event = reader->next();
    ASSERT_TRUE(event) << event.error().message();
    if (!*event) break;
    EXPECT_EQ(++seq, (*event)->seq());
  }
  EXPECT_EQ("", reader->damage()) << "every checksum is right";
  EXPECT_GT(seq, 10u);
}

TEST_P(GoldenDocuments, ATornBundleIsOneError) {
  const std::string bundle = folder_ + "/b.tar.zst";
  run({KTSTR_LAUNCH, "bundle", log(), "-o", bundle});
  fs::resize_file(bundle, fs::file_size(bundle) / 2);
  const std::string error = run({KTSTR_LAUNCH, "replay", bundle});
  EXPECT_EQ(2, exit_);
  EXPECT_EQ(0u, error.find("error: ")) << error;
  EXPECT_EQ(error.find("not a usable bundle"), error.rfind("not a usable bundle")) << error;
}

TEST_P(GoldenDocuments, ATraceIsAsTheFormatSays) {
  const std::string trace = folder_ + "/trace.json";
  std::ofstream(trace) << run({KTSTR_LAUNCH, "replay", log(), "--format", "perfetto"});
  const std::string verdict = run({"python3", KTSTR_CHECK_TRACE, trace});
  EXPECT_EQ(0, exit_) << verdict;
  for (const char* what : {"\"task\":", "\"phase\":", "\"crash\":", "\"probe\":", "nr_running CPU 0"})
    EXPECT_NE(std::string::npos, verdict.find(what)) << what << " in " << verdict;
}

INSTANTIATE_TEST_SUITE_P(Programs, GoldenDocuments, testing::Values("format1-0.1.0-enqueue_crash"));

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
