// What a log carries for `repro`, and what `repro` rejects in it.
#include "launcher/run/recorded_run.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/sha256.h"
#include "schemas/client_generated.h"
#include "schemas/event_generated.h"
#include "schemas/log_writer.h"
#include "schemas/run_generated.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

namespace fs = std::filesystem;

std::string hash_of(const std::string& text) {
  Sha256 hash;
  hash.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return hash.hex();
}

TEST(Sha256Test, KnownAnswer) {
  EXPECT_EQ(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

class RecordedRunTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/ktstr-recorded-XXXXXX";
    folder_ = mkdtemp(name);
    auto writer = LogWriter::create(log());
    ASSERT_TRUE(writer);
    writer_.emplace(std::move(writer).value());
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string log() const { return folder_ + "/events.ktlog"; }
  std::string store() const { return folder_ + "/store"; }

  template <typename T>
  void add(T payload, Vm vm = Vm::Host, const std::string& source = "launcher") {
    auto event =
        make_event({.run_id = "old", .source = source, .vm = vm, .host_ns = ++time_}, std::move(payload));
    ASSERT_TRUE(writer_->append({&event, 1}));
  }
  RunStartedT started(const std::string& scheduler, const std::string& sha256) {
    RunStartedT t;
    t.tool_version = "1";
    t.run_id = "old";
    t.spec = std::make_unique<TestSpecT>();
    t.spec->name = "crash";
    t.spec->topology = std::make_unique<TopologyT>();
    t.spec->scheduler = std::make_unique<SchedulerSpecT>();
    t.spec->scheduler->name = t.spec->scheduler->binary = "s";
    t.spec->scheduler->host_path = scheduler;
    t.spec->scheduler->guest_path = "/ktstr/sched/s";
    t.spec->scheduler->sha256 = sha256;
    return t;
  }
  FileEmbeddedT piece(const std::string& whole, size_t from, size_t count) {
    FileEmbeddedT t;
    t.role = "scheduler";
    t.path = "/ci/s";
    t.guest_path = "/ktstr/sched/s";
    t.sha256 = hash_of(whole);
    t.size = whole.size();
    t.offset = from;
    t.data.assign(whole.begin() + static_cast<long>(from), whole.begin() + static_cast<long>(from + count));
    return t;
  }
  Result<RecordedRun> read() { return read_recorded_run({.log = log(), .store = store()}); }
  std::string refusal() {
    auto run = read();
    return run ? "" : run.error().to_string();
  }

  std::string folder_;
  std::optional<LogWriter> writer_;
  uint64_t time_ = 0;
};

TEST_F(RecordedRunTest, TheSchedulerComesOutOfTheLogWhole) {
  std::string binary(3'000'000, 'x');
  binary[2'500'000] = 'y';
  add(started("/ci/s", ""));
  for (size_t at = 0; at < binary.size(); at += 1'000'000) add(piece(binary, at, 1'000'000));
  add(VmStartedT{}, Vm::Primary);
  add(CollectorLineT(), Vm::Host, "vmstat");
  add(HelperStartedT(), Vm::Host);
  add(VmSettledT(), Vm::Primary);
  add(VmStartedT{}, Vm::Repro);
  auto run = read();
  ASSERT_TRUE(run) << run.error().message();
  ASSERT_EQ(run->events.size(), 3u) << "facts of the primary VM and of extra collectors, to VmSettled";
  EXPECT_EQ(run->events.back().type(), Payload::VmSettled);
  ASSERT_EQ(run->files.size(), 1u);
  EXPECT_EQ(sha256_file(run->started.spec->scheduler->host_path).value(), hash_of(binary));
  EXPECT_EQ(run->started.spec->scheduler->host_path, run->files[0].host_path);
  auto renamed = with_run_id(run->events[0], "new");
  EXPECT_EQ(str(renamed->run_id()), "new");
  EXPECT_EQ(renamed.type(), Payload::VmStarted);
  EXPECT_EQ(renamed.vm(), Vm::Primary);
  EXPECT_EQ(renamed->stamp()->host_ns(), run->events[0]->stamp()->host_ns());
  // A file that was changed in the store is not taken.
  std::ofstream(run->files[0].host_path) << "something else";
  ASSERT_TRUE(read());
  EXPECT_EQ(sha256_file(run->files[0].host_path).value(), hash_of(binary));
}

TEST_F(RecordedRunTest, ABinaryThatIsNotWhatItsHashSaysIsRefused) {
  add(started("/ci/s", ""));
  auto changed = piece("the scheduler", 0, 13);
  changed.data[3] = 'X';
  add(changed);
  add(VmSettledT(), Vm::Primary);
  EXPECT_NE(refusal().find("has the hash"), std::string::npos) << refusal();
}

TEST_F(RecordedRunTest, PiecesThatDoNotFollowAndPathsThatLeaveAreRefused) {
  add(started("/ci/s", ""));
  add(piece("the scheduler", 0, 5));
  add(piece("the scheduler", 6, 7));
  add(VmSettledT(), Vm::Primary);
  EXPECT_NE(refusal().find("does not follow"), std::string::npos) << refusal();
  FileExtractor extractor(store());
  for (const char* path : {"/init", "/ktstr/probe", "/a/../../etc/passwd", "relative", ""}) {
    auto t = piece("x", 0, 1);
    t.guest_path = path;
    auto event = make_event({.run_id = "r", .source = "launcher"}, std::move(t));
    EXPECT_FALSE(extractor.add(*event.as<FileEmbedded>())) << path;
  }
}

TEST_F(RecordedRunTest, WithoutEmbeddedFilesOnlyTheSameBinaryWillDo) {
  std::string here = folder_ + "/s";
  std::ofstream(here) << "the scheduler";
  add(started(here, hash_of("the scheduler")));
  add(VmSettledT(), Vm::Primary);
  auto run = read();
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(run->started.spec->scheduler->host_path, here);
  std::ofstream(here) << "a newer one";
  EXPECT_NE(refusal().find("is another"), std::string::npos) << refusal();
  EXPECT_NE(refusal().find("--embed"), std::string::npos) << refusal();
  fs::remove(here);
  EXPECT_NE(refusal().find("not on this host"), std::string::npos) << refusal();
}

TEST_F(RecordedRunTest, ALogThatEndsTooEarlySaysSo) {
  EXPECT_NE(refusal().find("holds no run"), std::string::npos) << refusal();
  add(started("/ci/s", ""));
  add(VmStartedT{}, Vm::Primary);
  EXPECT_NE(refusal().find("ends before"), std::string::npos) << refusal();
}

}  // namespace
}  // namespace ktstr
