#include "monitor/vm_hold.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/unique_fd.h"

namespace ktstr {
namespace {

// A QEMU that obeys until the test makes it stop answering.
class FakeQemu {
 public:
  FakeQemu() : path_("/tmp/ktstr-hold-" + std::to_string(::getpid())) {
    ::unlink(path_.c_str());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
  }
  ~FakeQemu() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // nobody may have come
    if (player_.joinable()) player_.join();
    ::unlink(path_.c_str());
  }
  // Answers each command but `silent`; ends with the connection, or after `commands`.
  void play(std::string silent = "") {
    player_ = std::thread([this, silent] {
      UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      const auto say = [&](const char* text) {
        (void)!::send(fd.get(), text, std::strlen(text), MSG_NOSIGNAL);
      };
      say("{\"QMP\": {}}\r\n");
      std::string line;
      char c = 0;
      while (::read(fd.get(), &c, 1) == 1) {
        if (c != '\n') {
          line += c;
          continue;
        }
        for (const char* known : {"qmp_capabilities", "stop", "cont"})
          if (line.find("\"" + std::string(known) + "\"") != line.npos) asked += std::string(known) + " ";
        if (!line.empty() && (silent.empty() || line.find(silent) == line.npos)) say("{\"return\": {}}\r\n");
        if (asked.ends_with("cont ")) break;
        line.clear();
      }
    });
  }
  void wait() { player_.join(); }
  const std::string& path() const { return path_; }
  std::string asked;

 private:
  std::string path_;
  UniqueFd listener_;
  std::thread player_;
};

TEST(VmHold, HoldsAndReleases) {
  FakeQemu qemu;
  qemu.play();
  auto hold = open_qmp_hold(qemu.path());
  ASSERT_TRUE(hold.ok()) << hold.error().message();
  EXPECT_TRUE((*hold)->hold().ok());
  EXPECT_TRUE((*hold)->release().ok());
  hold->reset();
  qemu.wait();
  EXPECT_EQ(qemu.asked, "qmp_capabilities stop cont ");
}

TEST(VmHold, ASilentQemuIsToldToGoOnAllTheSame) {
  FakeQemu qemu;
  qemu.play("stop");
  auto hold = open_qmp_hold(qemu.path(), {.answer_ms = 50});
  ASSERT_TRUE(hold.ok());
  EXPECT_FALSE((*hold)->hold().ok());
  (void)(*hold)->release();
  qemu.wait();
  EXPECT_EQ(qemu.asked, "qmp_capabilities stop cont ");
  EXPECT_FALSE((*hold)->hold().ok());  // not tried again
}

TEST(VmHold, AMonitorThatIsKilledLeavesNoVmHeld) {
  FakeQemu qemu;
  qemu.play();
  const pid_t monitor = ::fork();
  if (monitor == 0) {
    auto hold = open_qmp_hold(qemu.path());
    if (hold.ok() && (*hold)->hold().ok()) ::raise(SIGKILL);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(monitor, &status, 0), monitor);
  ASSERT_TRUE(WIFSIGNALED(status));
  qemu.wait();  // ends at the guard's cont
  EXPECT_EQ(qemu.asked, "qmp_capabilities stop cont ");
}

TEST(VmHold, AMonitorThatHangsIsOvertaken) {
  FakeQemu qemu;
  qemu.play();
  auto hold = open_qmp_hold(qemu.path(), {.guard_ms = 1000});
  ASSERT_TRUE(hold.ok());
  EXPECT_TRUE((*hold)->hold().ok());
  qemu.wait();
  EXPECT_EQ(qemu.asked, "qmp_capabilities stop cont ");
}

TEST(VmHold, NoQemuIsAnError) {
  EXPECT_FALSE(open_qmp_hold("/tmp/ktstr-no-such-socket", {.connect_ms = 20}).ok());
}

}  // namespace
}  // namespace ktstr
