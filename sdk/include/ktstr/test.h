// Tests of schedulers, written in C++.
//
//   #include <ktstr/test.h>
//
//   constexpr ktstr::Scheduler kMine{.name = "mine", .binary = "scx_mine"};
//
//   KTSTR_TEST(two_groups_share_fairly, .scheduler = kMine, .cores = 4, .max_gap_ms = 500) {
//     auto a = ctx.cgroup("a").spawn(2, "CpuSpin");
//     auto b = ctx.cgroup("b").spawn(2, [](ktstr::WorkLoop& work) {
//       while (work.running()) { do_something(); work.iteration(); }
//     });
//     ctx.run_for(ctx.duration());
//     return ktstr::Assert::NO_OVERRIDES.max_spread_pct(10).judge(ctx, {a.stop(), b.stop()});
//   }
//
// Link with ktstr::test, which brings main(). `ktstr-launch run BINARY` asks the binary for its list (on the
// host, no body runs), checks it as it checks a TOML spec, and boots a VM for each test; the body runs in it,
// as root, once the scheduler is attached. `ktstr_add_tests` shows each test in CTest. Attributes mean what
// docs/specs.md says of the same names.
//
// A failed operation of the context (a cpuset that the kernel refuses, …) is recorded and fails the test; the
// body goes on. A body that throws fails with the exception's text. Everything here is for the body's own
// thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ktstr {

// ---------------------------------------------------------------- what is tested

// A [scheduler.NAME] block.
struct Scheduler {
  const char* name = "";    // in the report and in filters; empty: the binary's file name
  const char* binary = "";  // a path (relative to the test binary's folder), or a name that is looked for
  std::initializer_list<const char*> args = {};
};

// The scheduler of a test: a Scheduler, or the name of its binary. Default: the kernel's own.
class SchedulerRef {
 public:
  SchedulerRef() = default;
  SchedulerRef(const char* binary) : binary_(binary) {}  // NOLINT: implicit by design
  SchedulerRef(const Scheduler& s)
      : name_(s.name), binary_(s.binary), args_(s.args.begin(), s.args.end()) {}  // NOLINT
  bool given() const { return !binary_.empty(); }
  const std::string& name() const { return name_; }
  const std::string& binary() const { return binary_; }
  const std::vector<std::string>& args() const { return args_; }

 private:
  std::string name_, binary_;
  std::vector<std::string> args_;
};

// A cgroup whose workers ktstr-init starts before the body runs, as [[test.cgroup]] does.
struct CgroupOptions {
  std::string name;
  std::optional<unsigned> workers = {};
  std::string work = {};    // "CpuSpin", …; empty: CpuSpin
  std::string cpuset = {};  // "0-3", or a rule
  std::string toml = {};    // further lines of the [[test.cgroup]] table
};

// ---------------------------------------------------------------- what is checked

struct WorkerResult;
struct TestResult;
class TestContext;

// Thresholds, by the names of docs/specs.md. Each call returns a changed copy:
//   Assert::default_checks().max_gap_ms(500).min_work_rate(100)
// In KTSTR_TEST(…, .assertions = …) they hold for the whole test, pins included. In a body, judge() holds
// them against reports of its own workers; what only the host can see (pins, the monitor's thresholds) is
// refused there.
class Assert {
 public:
  using Value = std::variant<bool, double, std::string>;
  static const Assert NO_OVERRIDES;  // checks nothing of its own
  // What every test has unasked: not_starved, max_gap_ms 2000.
  static Assert default_checks();

  Assert expect_scx_bpf_error_contains(std::string_view text) const {
    return with("expect_scx_bpf_error_contains", std::string(text));
  }
  Assert expect_scx_bpf_error_matches(std::string_view regex) const {
    return with("expect_scx_bpf_error_matches", std::string(regex));
  }
  Assert not_starved(bool on = true) const { return with("not_starved", on); }
  Assert isolation(bool on = true) const { return with("isolation", on); }
  Assert max_gap_ms(double v) const { return with("max_gap_ms", v); }
  Assert max_spread_pct(double v) const { return with("max_spread_pct", v); }
  Assert max_throughput_cv(double v) const { return with("max_throughput_cv", v); }
  Assert min_work_rate(double v) const { return with("min_work_rate", v); }
  Assert min_iteration_rate(double v) const { return with("min_iteration_rate", v); }
  Assert max_migration_ratio(double v) const { return with("max_migration_ratio", v); }
  Assert max_p99_wake_latency_ns(double v) const { return with("max_p99_wake_latency_ns", v); }
  Assert max_wake_latency_cv(double v) const { return with("max_wake_latency_cv", v); }
  Assert max_imbalance_ratio(double v) const { return with("max_imbalance_ratio", v); }
  Assert max_local_dsq_depth(double v) const { return with("max_local_dsq_depth", v); }
  Assert max_fallback_rate(double v) const { return with("max_fallback_rate", v); }
  Assert max_keep_last_rate(double v) const { return with("max_keep_last_rate", v); }
  Assert sustained_samples(double v) const { return with("sustained_samples", v); }
  Assert fail_on_stall(bool on = true) const { return with("fail_on_stall", on); }
  Assert enforce(bool on = true) const { return with("enforce", on); }

  // Each threshold against each group of reports: one check in the report for each, with observed and allowed
  // value.
  TestResult judge(TestContext& ctx, const std::vector<std::vector<WorkerResult>>& groups) const;

  const std::map<std::string, Value, std::less<>>& values() const { return values_; }

 private:
  Assert with(std::string_view name, Value value) const;
  std::map<std::string, Value, std::less<>> values_;
};

// The attributes of a test, in the order in which C++ wants them named. What is left out has the default of
// docs/specs.md.
struct TestOptions {
  SchedulerRef scheduler = {};
  bool expect_err = false;
  std::optional<std::string> expect_scx_bpf_error_contains = {};
  std::optional<std::string> expect_scx_bpf_error_matches = {};
  std::optional<unsigned> numa_nodes = {};
  std::optional<unsigned> llcs = {};
  std::optional<unsigned> cores = {};
  std::optional<unsigned> threads = {};
  std::optional<unsigned> min_cpus = {};
  std::optional<unsigned> max_cpus = {};
  std::optional<unsigned> min_llcs = {};
  std::optional<unsigned> max_llcs = {};
  std::optional<unsigned> min_numa_nodes = {};
  std::optional<unsigned> max_numa_nodes = {};
  std::optional<unsigned> memory_mb = {};
  std::optional<double> duration_s = {};
  std::optional<double> attach_timeout_s = {};
  std::optional<double> watchdog_timeout_s = {};
  std::optional<std::string> kernel = {};
  std::vector<std::string> kernels = {};
  std::vector<std::string> extra_args = {};
  std::vector<std::string> files = {};
  std::optional<std::string> config = {};
  std::optional<std::string> config_arg = {};
  std::map<std::string, std::string> env = {};
  std::optional<std::string> build = {};
  std::map<std::string, std::string> sysctl = {};
  std::vector<std::string> kernel_args = {};
  std::optional<unsigned> workers_per_cgroup = {};
  std::optional<bool> auto_repro = {};
  std::optional<unsigned> repro_tries = {};
  std::optional<unsigned> repro_history = {};
  std::optional<std::string> repro_probes = {};
  std::optional<bool> not_starved = {};
  std::optional<double> max_gap_ms = {};
  std::optional<double> max_spread_pct = {};
  std::optional<bool> isolation = {};
  std::optional<double> max_throughput_cv = {};
  std::optional<double> min_work_rate = {};
  std::optional<double> max_p99_wake_latency_ns = {};
  std::optional<double> max_wake_latency_cv = {};
  std::optional<double> min_iteration_rate = {};
  std::optional<double> max_migration_ratio = {};
  std::optional<double> max_imbalance_ratio = {};
  std::optional<unsigned> max_local_dsq_depth = {};
  std::optional<bool> fail_on_stall = {};
  std::optional<unsigned> sustained_samples = {};
  std::optional<double> max_fallback_rate = {};
  std::optional<double> max_keep_last_rate = {};
  std::optional<bool> enforce = {};
  std::vector<std::string> allow_kernel_warnings = {};
  std::vector<CgroupOptions> cgroups = {};
  Assert assertions = {};  // an attribute named above goes before the same one here
  std::string toml = {};   // further lines of the [[test]] table: steps, matrices, bpf_map_write, …
};

// ---------------------------------------------------------------- the body

enum class TestVerdict { kPass, kFail, kInconclusive, kSkip };

struct TestResult {
  TestVerdict verdict = TestVerdict::kPass;
  std::string detail;
};
inline TestResult pass(std::string detail = {}) { return {TestVerdict::kPass, std::move(detail)}; }
inline TestResult fail(std::string detail) { return {TestVerdict::kFail, std::move(detail)}; }
inline TestResult skip(std::string reason) { return {TestVerdict::kSkip, std::move(reason)}; }
inline TestResult inconclusive(std::string reason) { return {TestVerdict::kInconclusive, std::move(reason)}; }

// CPUs of the guest by place: CPU numbers run through threads, then cores, LLCs, NUMA nodes.
struct CpuTopology {
  unsigned numa_nodes = 1, llcs = 1, cores = 1, threads = 1;  // LLCs in all; cores per LLC, threads per core
  unsigned cpus() const { return llcs * cores * threads; }
  std::string all() const;                 // "0-7": as cpusets are written
  std::string llc(unsigned index) const;   // CPUs of one LLC
  std::string node(unsigned index) const;  // of one NUMA node
  std::string range(double from,
                    double to) const;  // of the CPUs from `from` to `to`, as fractions: range(0, 0.5)
};

// What one worker did, when it has ended.
struct WorkerResult {
  std::string cgroup;
  unsigned index = 0;
  int pid = 0;
  uint64_t iterations = 0;
  uint64_t wall_ns = 0, run_ns = 0, wait_ns = 0;  // its time; on a CPU; runnable and waiting
  uint64_t longest_gap_ns = 0;                    // longest time that it could have run and did not
  int gap_cpu = -1;
  uint64_t migrations = 0;
  std::vector<unsigned> cpus;          // it was seen on
  std::vector<unsigned> outside_cpus;  // … while its cgroup did not allow them
  uint64_t wakeups = 0;                // of work that sleeps or waits for a peer: asked-for time to running
  uint64_t wake_p50_ns = 0, wake_p99_ns = 0, wake_max_ns = 0, wake_mean_ns = 0, wake_stddev_ns = 0;
  int exit_code = 0;       // 128 and the signal when a signal ended it
  bool killed = false;     // did not end when asked, so it was killed
  bool messenger = false;  // of a fan-out: does other work than its receivers, so fairness leaves it out
  std::string work = {};   // "PipeIo", …; "Custom": a function of the body
  // What it could not do: operation ("fork") and errno -> how often.
  std::map<std::pair<std::string, int>, uint64_t> errors = {};
};

// What a worker's function is handed, in a process of its own.
class WorkLoop {
 public:
  virtual ~WorkLoop() = default;
  virtual bool running() const = 0;  // false once the body says stop
  virtual void iteration() = 0;      // one round is done: counted, with a look at clock and CPU
  virtual void sleep(std::chrono::nanoseconds time) = 0;  // no gap; its wake-up latency is kept
  virtual unsigned index() const = 0;
};
using WorkFunction = std::function<void(WorkLoop&)>;

// Worker processes of one spawn(). Ended at the latest when the body is.
class Workers {
 public:
  struct State;
  explicit Workers(std::shared_ptr<State> state) : state_(std::move(state)) {}
  // Asks them to end, kills after five seconds, and returns what they did. Again: the same.
  std::vector<WorkerResult> stop();
  std::vector<int> pids() const;
  void set_affinity(const std::string& cpus);
  void set_nice(int nice);

 private:
  std::shared_ptr<State> state_;
};

// Parameters of the standard work types, and how their workers are scheduled. 0 of a length or a count: the type's own
// default (docs/specs.md).
struct WorkOptions {
  double burst_ms = 0, pause_ms = 0;
  unsigned size_kb = 0, stride = 0, fan_out = 0, contenders = 0, hold_iters = 0, work_iters = 0,
           spin_iters = 0, touches = 0;
  int nice = 0;
  std::string policy = {};  // "Batch", "Idle", "Fifo", "RoundRobin", "Ext", "Normal"; empty: inherited
  unsigned priority = 1;    // of Fifo and RoundRobin
  std::string affinity = {};
};

// A cgroup below the root. A handle: copies mean the same group.
class Cgroup {
 public:
  Cgroup(TestContext& ctx, std::string name) : ctx_(&ctx), name_(std::move(name)) {}
  const std::string& name() const { return name_; }
  std::string path() const;
  Cgroup& set_cpuset(const std::string& cpus);
  Cgroup& clear_cpuset();  // all CPUs again
  // Worker processes in this group, running until they are stopped.
  Workers spawn(unsigned count, WorkFunction work);
  // … doing one of the standard work types: "CpuSpin", "PipeIo", "MutexContention", … (docs/specs.md;
  // Sequence and Custom only where they are declared).
  Workers spawn(unsigned count, const std::string& work, const WorkOptions& options = {});
  void add_task(int pid);
  void move_all_to(const Cgroup& other);
  void remove();  // its tasks must be gone

 private:
  TestContext* ctx_;
  std::string name_;
};

struct TestStep {
  std::string name;
  std::function<void()> apply;
  std::chrono::nanoseconds hold{0};
};

class TestContext {
 public:
  struct Impl;
  explicit TestContext(std::unique_ptr<Impl> impl);
  ~TestContext();

  const std::string& test() const;
  const CpuTopology& topology() const;
  std::chrono::nanoseconds duration() const;  // duration_s
  double time_scale() const;                  // factor on time limits: how much slower this machine is
  bool scheduler_attached() const;            // sched_ext says enabled, at this moment

  Cgroup cgroup(const std::string& name);  // made if it is not there
  // Sleeps; false, and at once, when the scheduler went away meanwhile (of a test that has one), or the test
  // is ended.
  bool run_for(std::chrono::nanoseconds time);
  // Applies each, then holds; each is a phase of the report's timeline. False: ended early, as run_for().
  bool run_steps(const std::vector<TestStep>& steps);

  // One check: a line in the report when it fails. Returns `ok`.
  bool check(const std::string& name, bool ok, const std::string& observed = {},
             const std::string& threshold = {});
  // An operation that could not be done: fails the test.
  void error(const std::string& what);
  unsigned failed_checks() const;

  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// ---------------------------------------------------------------- registration

using TestBody = TestResult (*)(TestContext&);
// Called before main() by KTSTR_TEST. The options are made when they are asked for.
bool register_test(const char* name, const char* file, unsigned line, TestOptions (*options)(),
                   TestBody body);

// For a binary with a main() of its own. Returns the exit code.
int test_main(int argc, char** argv);

}  // namespace ktstr

// clang-format off
#define KTSTR_TEST(test_name, ...)                                                                           \
  static ::ktstr::TestResult ktstr_body_##test_name(::ktstr::TestContext& ctx);                              \
  [[maybe_unused]] static const bool ktstr_registered_##test_name =                                          \
      ::ktstr::register_test(#test_name, __FILE__, __LINE__,                                                 \
                             [] { return ::ktstr::TestOptions{__VA_ARGS__}; }, ktstr_body_##test_name);      \
  static ::ktstr::TestResult ktstr_body_##test_name([[maybe_unused]] ::ktstr::TestContext& ctx)
// clang-format on
