#include "sdk/body_context.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>

#include "base/json.h"
#include "base/small_files.h"
#include "schemas/guest_paths.h"
#include "schemas/plan_generated.h"
#include "schemas/spec_generated.h"
#include "scx/constants.h"

namespace ktstr {
namespace {

volatile sig_atomic_t stop_flag = 0;

constexpr char kSchedExtState[] = "/sys/kernel/sched_ext/state";

std::string env(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

const char* verdict_name(TestVerdict verdict) {
  switch (verdict) {
    case TestVerdict::kPass:
      return "pass";
    case TestVerdict::kFail:
      return "fail";
    case TestVerdict::kInconclusive:
      return "inconclusive";
    case TestVerdict::kSkip:
      return "skip";
  }
  return "fail";
}

std::string cpu_range(unsigned first, unsigned count) {
  return count == 1 ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(first + count - 1);
}

}  // namespace

void catch_stop_request() {
  struct sigaction action{};
  action.sa_handler = [](int) { stop_flag = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
}
bool stop_requested() { return stop_flag != 0; }

std::string CpuTopology::all() const { return cpu_range(0, cpus()); }
std::string CpuTopology::llc(unsigned index) const {
  return cpu_range(index % llcs * cores * threads, cores * threads);
}
std::string CpuTopology::node(unsigned index) const {
  const unsigned per_node = cpus() / numa_nodes;
  return cpu_range(index % numa_nodes * per_node, per_node);
}
std::string CpuTopology::range(double from, double to) const {
  const auto n = static_cast<double>(cpus());
  const auto first = static_cast<unsigned>(std::clamp(std::floor(from * n), 0.0, n - 1));
  const auto last = static_cast<unsigned>(std::clamp(std::ceil(to * n), static_cast<double>(first) + 1, n));
  return cpu_range(first, last - first);
}

Result<std::unique_ptr<TestContext::Impl>> TestContext::Impl::open(const RegisteredTest& test) {
  auto bytes = read_binary(kGuestPlan, kMaxGuestPlan);
  const std::string plan = bytes ? std::move(*bytes) : std::string();
  const auto* data = reinterpret_cast<const uint8_t*>(plan.data());
  flatbuffers::Verifier verifier(data, plan.size());
  if (plan.size() < 8 || !GuestPlanBufferHasIdentifier(data) || !VerifyGuestPlanBuffer(verifier))
    return Error::not_found(std::string(kGuestPlan) + " is not there: a body runs in a VM of ktstr only");
  const GuestPlan& guest = *GetGuestPlan(data);
  auto impl = std::make_unique<Impl>();
  impl->test = test.name;
  impl->file = test.file;
  impl->line = test.line;
  const Topology& t = *guest.spec()->topology();
  impl->topology = {
      .numa_nodes = t.numa_nodes(), .llcs = t.llcs(), .cores = t.cores(), .threads = t.threads()};
  impl->duration = std::chrono::nanoseconds(guest.spec()->duration_ns());
  impl->time_scale = std::max(1.0, static_cast<double>(guest.time_scale()));
  impl->has_scheduler = guest.spec()->scheduler() != nullptr;
  if (std::string root = env("KTSTR_CGROUP_ROOT"); !root.empty()) impl->cgroup_root = root;
  if (std::string fd = env("KTSTR_CHECK_FD"); !fd.empty()) impl->check_fd = std::atoi(fd.c_str());
  return impl;
}

bool TestContext::Impl::send(const std::string& json) {
  std::string text = json + "\n";
  if (check_fd < 0) {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    return false;
  }
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = ::send(check_fd, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;  // init has gone: nobody is left to be told
    done += static_cast<size_t>(n);
  }
  return true;
}

namespace {

std::string dump(const nlohmann::ordered_json& json) { return json_text(json); }

}  // namespace

void TestContext::Impl::send_check(const CheckLine& check) {
  ++checks;
  if (check.verdict == TestVerdict::kFail) ++failed;
  send(dump({{"name", check.name},
             {"outcome", verdict_name(check.verdict)},
             {"observed", check.observed.substr(0, 2048)},
             {"threshold", check.threshold.substr(0, 2048)},
             {"detail", check.detail.substr(0, 4096)},
             {"file", file},
             {"line", line}}));
}

bool TestContext::Impl::send_result(const TestResult& result) {
  return send(dump({{"outcome", verdict_name(result.verdict)},
                    {"detail", result.detail.substr(0, 4096)},
                    {"file", file},
                    {"line", line}}));
}

TestContext::TestContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TestContext::~TestContext() = default;

const std::string& TestContext::test() const { return impl_->test; }
const CpuTopology& TestContext::topology() const { return impl_->topology; }
std::chrono::nanoseconds TestContext::duration() const { return impl_->duration; }
double TestContext::time_scale() const { return impl_->time_scale; }
unsigned TestContext::failed_checks() const { return impl_->failed; }

bool TestContext::scheduler_attached() const { return read_text_or(kSchedExtState, "") == kScxStateEnabled; }

bool TestContext::run_for(std::chrono::nanoseconds time) {
  using std::chrono::steady_clock;
  const auto until = steady_clock::now() + time;
  while (true) {
    if (stop_requested() || (impl_->has_scheduler && !scheduler_attached())) return false;
    const auto left = until - steady_clock::now();
    if (left <= left.zero()) return true;
    ::poll(nullptr, 0,
           static_cast<int>(std::min<int64_t>(
               std::chrono::duration_cast<std::chrono::milliseconds>(left).count() + 1, 50)));
  }
}

bool TestContext::run_steps(const std::vector<TestStep>& steps) {
  for (const TestStep& step : steps) {
    impl_->send(dump({{"phase", step.name}}));
    if (step.apply) step.apply();
    if (!run_for(step.hold)) return false;
  }
  return true;
}

bool TestContext::check(const std::string& name, bool ok, const std::string& observed,
                        const std::string& threshold) {
  impl_->send_check({.name = name,
                     .verdict = ok ? TestVerdict::kPass : TestVerdict::kFail,
                     .observed = observed,
                     .threshold = threshold,
                     .detail = {}});
  return ok;
}

void TestContext::error(const std::string& what) { impl_->operation_failed(what); }

void TestContext::Impl::operation_failed(const std::string& what) {
  send_check(
      {.name = "operation", .verdict = TestVerdict::kFail, .observed = {}, .threshold = {}, .detail = what});
}

}  // namespace ktstr
