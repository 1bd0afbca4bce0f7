#include "runtime/qmp_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

namespace ktstr {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kGreeting[] = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";

// Plays QEMU: sends the greeting, then one prepared answer per line received, then hangs up.
class QmpClientTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = (std::filesystem::temp_directory_path() / ("ktstr-qmp-" + std::to_string(getpid()))).string();
    unlink(path_.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(listener_, 1), 0);
  }
  void play(std::vector<std::string> answers) {
    player_ = std::thread([this, answers] {
      int fd = accept(listener_, nullptr, nullptr);
      (void)!write(fd, kGreeting, strlen(kGreeting));
      for (const auto& answer : answers) {
        char c = 0;
        std::string line;
        while (read(fd, &c, 1) == 1 && c != '\n') line += c;
        asked_.push_back(line);
        if (send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
      }
      close(fd);
    });
  }
  void TearDown() override {
    if (player_.joinable()) player_.join();
    close(listener_);
    unlink(path_.c_str());
  }

  std::string path_;
  int listener_ = -1;
  std::thread player_;
  std::vector<std::string> asked_;
};

TEST_F(QmpClientTest, AsksAndKeepsEvents) {
  play({"{\"return\": {}}\r\n",
        "{\"event\": \"STOP\", \"timestamp\": {}}\r\n{\"return\": {\"status\": \"internal-error\", "
        "\"running\": false}}\r\n",
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}}\r\n"});
  auto client = QmpClient::connect(path_, 20000);
  ASSERT_TRUE(client.ok()) << client.error().to_string();
  EXPECT_EQ(client->query_status().value(), "internal-error");
  EXPECT_THAT(client->take_events(), ElementsAre("STOP"));
  EXPECT_TRUE(client->take_events().empty());
  auto refused = client->execute("migrate", R"({"uri": "x"})");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("no such thing"));
  player_.join();
  EXPECT_THAT(asked_[2], HasSubstr("\"uri\""));
}

TEST_F(QmpClientTest, QemuMayHangUpOnQuit) {
  play({"{\"return\": {}}\r\n", ""});
  auto client = QmpClient::connect(path_, 20000);
  ASSERT_TRUE(client.ok());
  EXPECT_TRUE(client->quit().ok());
  auto gone = client->query_status();
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().kind(), ErrorKind::kSystem);
}

TEST_F(QmpClientTest, GarbageAndBadArgumentsAreErrors) {
  play({"{\"return\": {}}\r\n", "][ not json\r\n"});
  auto client = QmpClient::connect(path_, 20000);
  ASSERT_TRUE(client.ok());
  EXPECT_FALSE(client->execute("stop", "[1]").ok());
  EXPECT_FALSE(client->stop().ok());
}

TEST(QmpClient, NobodyThereIsATimeout) {
  auto client = QmpClient::connect("/no/such/socket", 50);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().kind(), ErrorKind::kTimeout);
}

}  // namespace
}  // namespace ktstr
