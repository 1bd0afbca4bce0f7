#include "launcher/run/helper_set.h"

#include <sys/epoll.h>

#include <algorithm>

#include "base/log.h"
#include "schemas/run_generated.h"

namespace ktstr {

Status HelperSet::start(RunBus& bus, const HelperOptions& usual,
                        const std::function<std::vector<std::string>(std::string_view)>& arguments_of,
                        const std::function<bool()>& interrupted) {
  for (const char* name : {"collector", "monitor", "reproer", "reporter"}) {
    if (interrupted()) return {};
    HelperOptions options = usual;
    options.extra_args = arguments_of(name);
    auto helper = start_helper(name, options);
    if (!helper) {
      if (interrupted()) return {};
      if (std::string_view(name) == "collector") return std::move(helper).error();
      HelperExitedT exited;
      exited.name = name;
      exited.exit_code = 127;
      bus.publish(std::move(exited));
      log_info("ktstr-" + std::string(name) + ": " + helper.error().message());
      progress_.say(helper.error().message());
      continue;
    }
    HelperStartedT started;
    started.name = name;
    started.pid = static_cast<uint32_t>(helper->pid);
    bus.publish(std::move(started));
    log_info("started ktstr-" + std::string(name) + ", pid " + std::to_string(helper->pid));
    loop_.watch(helper->child.pidfd(), EPOLLIN, [](uint32_t) {});  // watch() reaps
    helpers_.push_back(std::move(helper).value());
  }
  return {};
}

void HelperSet::watch(RunBus& bus) {
  for (Helper& h : helpers_) {
    if (!h.alive()) continue;
    const int pidfd = h.child.pidfd();
    auto exit = h.child.poll();
    if (!exit) continue;
    loop_.unwatch(pidfd);
    h.exit = exit;
    HelperExitedT t;
    t.name = h.name;
    t.pid = static_cast<uint32_t>(h.pid);
    t.exit_code = exit->exit_code;
    t.signal = exit->signal;
    bus.publish(std::move(t));
    log_info("ktstr-" + h.name + " ended unexpectedly: " + exit->to_string());
    progress_.say("ktstr-" + h.name + " ended unexpectedly: " + exit->to_string());
  }
}

const Helper* HelperSet::find(std::string_view name) const {
  auto it = std::find_if(helpers_.begin(), helpers_.end(), [&](const Helper& h) { return h.name == name; });
  return it == helpers_.end() ? nullptr : &*it;
}

bool HelperSet::alive(std::string_view name) const {
  const Helper* helper = find(name);
  return helper && helper->alive();
}

bool HelperSet::collector_stopped() const {
  const Helper* helper = find("collector");
  return helper && helper->child.stopped();
}

std::string HelperSet::what_became_of(std::string_view name) const {
  const Helper* helper = find(name);
  return std::string(name) + ": " +
         (!helper        ? "was not started"
          : helper->exit ? helper->exit->to_string()
                         : "did not finish");
}

void HelperSet::terminate(std::string_view name, std::chrono::milliseconds patience) {
  for (Helper& h : helpers_)
    if (h.name == name && h.alive()) h.exit = h.child.terminate(patience);
}

void HelperSet::see_off(bool wait, std::chrono::milliseconds patience) {
  for (Helper& h : helpers_) {
    if (!h.alive() || (wait && h.child.wait(patience))) continue;
    log_info("ktstr-" + h.name + " did not end by itself: terminated");
    h.child.terminate(std::chrono::milliseconds(1'000));
  }
}

}  // namespace ktstr
