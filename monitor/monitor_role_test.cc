#include "monitor/monitor_role.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "monitor/testing/synthetic_kernel.h"
#include "schemas/event_generated.h"
#include "schemas/monitor_generated.h"
#include "schemas/run_generated.h"

namespace ktstr {
namespace {

// The loop, played by hand.
class FakeContext : public Context {
 public:
  void publish_event(EventBuffer event) override { published.push_back(std::move(event)); }
  EventHead head() const override { return {.run_id = "r", .source = "monitor"}; }
  void watch(int, std::function<void()>) override {}
  void unwatch(int) override {}
  int every(std::chrono::nanoseconds, std::function<void()> tick) override {
    timers[++last_] = std::move(tick);
    return last_;
  }
  void cancel(int timer) override { timers.erase(timer); }
  void stop(int) override {}
  const std::string& bus_folder() const override { return empty_; }
  const std::string& log_path() const override { return empty_; }
  const Clock& clock() const override { return clock_; }

  std::vector<Payload> types() const {
    std::vector<Payload> out;
    for (const EventBuffer& event : published) out.push_back(event.type());
    return out;
  }
  std::vector<EventBuffer> published;
  std::map<int, std::function<void()>> timers;

 private:
  int last_ = 0;
  std::string empty_;
  SystemClock clock_;
};

// A made-up guest in a memfd, as the launcher holds one.
struct GuestInMemfd {
  GuestInMemfd() : fd(::memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    std::vector<uint8_t> bytes(guest.ram().size());
    EXPECT_TRUE(guest.ram().read(0, bytes.data(), bytes.size()));
    EXPECT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  }
  EventBuffer started(Vm vm, uint8_t attempt) const {
    VmStartedT e;
    e.ram_path = "/proc/self/fd/" + std::to_string(fd.get());
    e.ram_bytes = e.lowmem_bytes = guest.ram().size();
    return make_event(EventHead{.run_id = "r", .source = "launcher", .vm = vm, .attempt = attempt},
                      std::move(e));
  }
  static EventBuffer exited(Vm vm, uint8_t attempt) {
    return make_event(EventHead{.run_id = "r", .source = "launcher", .vm = vm, .attempt = attempt},
                      VmExitedT{});
  }
  testing::SyntheticKernel guest;
  UniqueFd fd;
};

TEST(MonitorRole, OneVmAfterTheOther) {
  GuestInMemfd guest;
  FakeContext context;
  MonitorRole role;
  role.on_event(guest.started(Vm::Primary, 0), context);
  ASSERT_EQ(context.timers.size(), 2u);  // samples, and looks between them
  for (int i = 0; i < 2; ++i) context.timers.begin()->second();
  role.on_event(GuestInMemfd::exited(Vm::Primary, 0), context);
  EXPECT_TRUE(context.timers.empty());
  EXPECT_EQ(context.types(), (std::vector<Payload>{Payload::MonitorAttached, Payload::MonitorSample,
                                                   Payload::MonitorSample, Payload::MonitorStopped}));
  EXPECT_EQ(context.published[1]->stamp()->guest_ns(), 1'000'003u);  // the guest's clock, from its run queues
  EXPECT_FALSE(context.published[0].as<MonitorAttached>()->cached());

  context.published.clear();
  role.on_event(guest.started(Vm::Repro, 1), context);
  ASSERT_EQ(context.timers.size(), 2u);
  context.timers.begin()->second();
  role.on_event(GuestInMemfd::exited(Vm::Repro, 1), context);
  ASSERT_EQ(context.published.size(), 3u);
  for (const EventBuffer& event : context.published) {
    EXPECT_EQ(event.vm(), Vm::Repro);
    EXPECT_EQ(event->stamp()->attempt(), 1);
  }
  EXPECT_TRUE(context.published[0].as<MonitorAttached>()->cached());
}

TEST(MonitorRole, AVmThatWasNeverSeenUp) {
  GuestInMemfd guest;
  FakeContext context;
  MonitorRole role;
  role.on_event(guest.started(Vm::Primary, 0), context);
  role.on_event(GuestInMemfd::exited(Vm::Repro, 1), context);  // another one's end
  EXPECT_TRUE(context.published.empty());
  role.on_event(GuestInMemfd::exited(Vm::Primary, 0), context);
  EXPECT_EQ(context.types(), (std::vector<Payload>{Payload::MonitorUnavailable, Payload::MonitorStopped}));
}

TEST(MonitorRole, TheRunEndsBeforeTheVm) {
  GuestInMemfd guest;
  FakeContext context;
  MonitorRole role;
  role.on_event(guest.started(Vm::Primary, 0), context);
  role.on_stop(context);
  EXPECT_TRUE(context.timers.empty());
  EXPECT_EQ(context.types().back(), Payload::MonitorStopped);
  role.on_stop(context);
  EXPECT_EQ(context.published.size(), 2u);
}

}  // namespace
}  // namespace ktstr
