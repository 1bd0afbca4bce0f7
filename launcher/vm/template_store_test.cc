#include "launcher/vm/template_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/testing/temp_dir.h"

namespace ktstr {
namespace {

class TemplateStoreTest : public testing::Test {
 protected:
  void make(const std::string& key, size_t bytes) {
    auto lock = store_.try_lock(key);
    ASSERT_TRUE(lock && *lock);
    std::ofstream(store_.draft(key)) << std::string(bytes, 'x');
    ASSERT_TRUE(store_.publish(key));
  }
  // It was used at this second of the epoch.
  void used_at(const std::string& key, time_t second) {
    const timespec times[2] = {{second, 0}, {second, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, store_.path(key).c_str(), times, 0), 0);
  }
  std::vector<std::string> keys() {
    std::vector<std::string> keys;
    for (const auto& one : store_.list()) keys.push_back(one.key);
    return keys;
  }

  TempDirForTest dir_;
  TemplateStore store_{dir_ / "templates", 100'000};
};

TEST_F(TemplateStoreTest, ItsFolderIsForItsUserAlone) {
  make("a", 10);
  struct stat st{};
  ASSERT_EQ(::stat(store_.dir().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0700u);
  EXPECT_TRUE(store_.has("a"));
  EXPECT_FALSE(store_.has("b"));
}

TEST_F(TemplateStoreTest, TheOnesThatWereUsedLeastLatelyMakeRoomAndTheNewOneStays) {
  make("old", 40'000);
  make("used", 40'000);
  used_at("old", 1000);
  used_at("used", 2000);
  make("new", 40'000);
  EXPECT_EQ(keys(), (std::vector<std::string>{"new", "used"}));
  store_.touch("used");
  used_at("new", 3000);
  make("huge", 200'000);
  EXPECT_EQ(keys(), std::vector<std::string>{"huge"});
}

TEST_F(TemplateStoreTest, OneProcessMakesItAndADeadOneHoldsNoLock) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto lock = store_.try_lock("k");
    std::ofstream(store_.draft("k")) << "half of it";
    (void)!::write(ready[1], lock && *lock ? "y" : "n", 1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  auto held = store_.try_lock("k");
  ASSERT_TRUE(held);
  EXPECT_FALSE(held->has_value());
  EXPECT_EQ(store_.clean(), 0u) << "who makes one is left alone";
  EXPECT_TRUE(std::filesystem::exists(store_.draft("k")));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  auto free = store_.try_lock("k");
  ASSERT_TRUE(free);
  EXPECT_TRUE(free->has_value());
  EXPECT_FALSE(std::filesystem::exists(store_.draft("k"))) << "what the dead process left";
  EXPECT_FALSE(store_.has("k")) << "half a template is none";
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(TemplateStoreTest, ANewOneTakesAwayWhatDeadProcessesAndOldTemplatesLeft) {
  make("old", 10);
  store_.remove("old");
  {
    auto lock = store_.try_lock("dead");
  }
  std::ofstream(store_.draft("dead")) << "half of it";
  auto alive = store_.try_lock("alive");
  ASSERT_TRUE(alive && *alive);
  std::ofstream(store_.draft("alive")) << "half of it";
  make("kept", 10);
  make("new", 10);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(store_.dir()))
    names.push_back(entry.path().filename());
  EXPECT_THAT(names, testing::UnorderedElementsAre("alive.lock", "alive.ktvm.new", "kept.ktvm", "kept.lock",
                                                   "new.ktvm", "new.lock"));
}

TEST_F(TemplateStoreTest, CleanLeavesNothing) {
  make("a", 10'000);
  make("b", 10'000);
  EXPECT_GE(store_.clean(), 20'000u);
  EXPECT_TRUE(std::filesystem::is_empty(store_.dir()));
  EXPECT_EQ(store_.clean(), 0u);
}

TEST_F(TemplateStoreTest, NoPlaceIsAnError) {
  std::ofstream(dir_ / "file") << "x";
  TemplateStore nowhere(dir_ / "file/templates");
  EXPECT_FALSE(nowhere.try_lock("a"));
  EXPECT_TRUE(nowhere.list().empty());
}

}  // namespace
}  // namespace ktstr
