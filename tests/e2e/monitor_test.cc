// The monitor against real kernels: what it reads is what the guest itself says; it freezes the dying
// scheduler; it writes where the spec says; what it finds decides.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "schemas/crash_generated.h"
#include "schemas/guest_generated.h"
#include "schemas/monitor_generated.h"
#include "tests/e2e/harness.h"

namespace ktstr::e2e {
namespace {

template <typename T, typename Table>
std::vector<T> all_of(const std::vector<EventBuffer>& log, Vm vm = Vm::Primary) {
  std::vector<T> out;
  for (const EventBuffer& event : log) {
    if (const Table* table = event.vm() == vm ? event.as<Table>() : nullptr) {
      T object;
      table->UnPackTo(&object);
      out.push_back(std::move(object));
    }
  }
  return out;
}

// Counters only grow: what the guest says must lie between the monitor's looks before and after it.
struct Between {
  int64_t before = 0, after = 0;
  bool seen = false;
};
void expect_between(const std::string& what, const Between& monitor, int64_t guest) {
  ASSERT_TRUE(monitor.seen) << what << ": the monitor does not know it";
  EXPECT_LE(monitor.before, guest) << what;
  EXPECT_GE(monitor.after, guest) << what;
}

class OwnView {
 public:
  explicit OwnView(const std::vector<EventBuffer>& log) {
    auto views = all_of<GuestViewT, GuestView>(log);
    if (views.size() != 1) return;
    view_ = std::move(views[0]);
    valid_ = true;
    samples_ = all_of<MonitorSampleT, MonitorSample>(log);
    stopped_ = all_of<MonitorStoppedT, MonitorStopped>(log);
  }
  bool valid() const { return valid_; }
  const GuestViewT& view() const { return view_; }
  std::string file(const std::string& path) const {
    for (const auto& f : view_.files)
      if (f->path == path) return f->text;
    return {};
  }
  // The last sample well before the view, and the first well after it, of those that `pick` finds something
  // in.
  template <typename Pick>
  Between find(Pick pick) const {
    constexpr uint64_t kApart = 50'000'000;  // the clocks differ by a little
    Between out;
    bool after = false;
    for (const MonitorSampleT& sample : samples_) {
      const std::optional<int64_t> value = pick(sample);
      if (!value) continue;
      if (sample.guest_clock_ns + kApart < view_.guest_ns) {
        out.before = *value;
      } else if (sample.guest_clock_ns > view_.guest_ns + kApart && !after) {
        out.after = *value;
        out.seen = after = true;
      }
    }
    return out;
  }
  const std::vector<MonitorStoppedT>& stopped() const { return stopped_; }
  const std::vector<MonitorSampleT>& samples() const { return samples_; }

 private:
  GuestViewT view_;
  std::vector<MonitorSampleT> samples_;
  std::vector<MonitorStoppedT> stopped_;
  bool valid_ = false;
};

void compare_events(const OwnView& own) {
  std::istringstream lines(own.file("/sys/kernel/sched_ext/root/events"));
  std::string name;
  int64_t value = 0;
  int seen = 0;
  while (lines >> name >> value) {
    ++seen;
    const std::string counter = name.substr(std::string("SCX_EV_").size());
    expect_between(name, own.find([&](const MonitorSampleT& s) -> std::optional<int64_t> {
      for (const auto& c : s.counters)
        if (c->name == counter) return c->value;
      return std::nullopt;
    }),
                   value);
  }
  EXPECT_GE(seen, 9);
}

// "cpu0 222 0 1090 …" and "domain0 MC 3 9 9 …" (version 17).
void compare_schedstat(const OwnView& own) {
  std::istringstream lines(own.file("/proc/schedstat"));
  std::string line;
  uint16_t cpu = 0;
  int cpus = 0, domains = 0;
  const auto field = [&](auto get) {
    return own.find([&, get](const MonitorSampleT& s) -> std::optional<int64_t> {
      for (const auto& c : s.cpus)
        if (c->cpu == cpu && c->stats) return static_cast<int64_t>(get(*c->stats));
      return std::nullopt;
    });
  };
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string head;
    words >> head;
    if (head.starts_with("cpu")) {
      ++cpus;
      cpu = static_cast<uint16_t>(std::stoi(head.substr(3)));
      int64_t v[9] = {};
      for (int64_t& value : v) words >> value;
      expect_between(head + " yields", field([](const RunQueueStatsT& s) { return s.yields; }), v[0]);
      expect_between(head + " switches", field([](const RunQueueStatsT& s) { return s.switches; }), v[2]);
      expect_between(head + " idle", field([](const RunQueueStatsT& s) { return s.idle_switches; }), v[3]);
      expect_between(head + " wakeups", field([](const RunQueueStatsT& s) { return s.wakeups; }), v[4]);
      expect_between(head + " local", field([](const RunQueueStatsT& s) { return s.local_wakeups; }), v[5]);
      expect_between(head + " run", field([](const RunQueueStatsT& s) { return s.run_ns; }), v[6]);
      expect_between(head + " wait", field([](const RunQueueStatsT& s) { return s.wait_ns; }), v[7]);
      expect_between(head + " slices", field([](const RunQueueStatsT& s) { return s.slices; }), v[8]);
    } else if (head.starts_with("domain")) {
      ++domains;
      const auto level = static_cast<size_t>(std::stoi(head.substr(6)));
      std::string name, span;
      words >> name >> span;
      std::vector<int64_t> values;
      for (int64_t value = 0; words >> value;) values.push_back(value);
      ASSERT_GE(values.size(), 33u) << line;
      const char* const types[] = {"not_idle", "idle", "newly_idle"};
      for (size_t type = 0; type < 3; ++type) {
        const std::string counter = std::string("lb_count.") + types[type];
        Between found = own.find([&](const MonitorSampleT& s) -> std::optional<int64_t> {
          size_t at = 0;
          for (const auto& d : s.domains) {
            if (d->cpu != cpu || at++ != level) continue;
            EXPECT_EQ(d->name, name);
            for (const auto& c : d->counters)
              if (c->name == counter) return c->value;
            return 0;  // zeroes are left out
          }
          return std::nullopt;
        });
        // Domains are in full samples only, and the VM may have ended before the next one.
        if (!found.seen) continue;
        expect_between(line.substr(0, 12) + " " + counter, found, values[type * 11]);
      }
    }
  }
  EXPECT_EQ(cpus, 2);
  EXPECT_EQ(domains, 2);
}

void compare_programs(const OwnView& own) {
  ASSERT_EQ(own.stopped().size(), 1u);
  const auto& last = own.stopped()[0].programs;
  EXPECT_EQ(last.size(), own.view().programs.size());
  for (const auto& guest : own.view().programs) {
    const auto it = std::find_if(last.begin(), last.end(), [&](const auto& p) { return p->id == guest->id; });
    ASSERT_NE(it, last.end()) << guest->name;
    const ProgramSampleT& monitor = **it;
    EXPECT_TRUE(monitor.name.starts_with(guest->name))
        << monitor.name << " " << guest->name;  // the guest's is cut
    EXPECT_EQ(monitor.tag, guest->tag);
    EXPECT_EQ(monitor.insns, guest->insns);
    EXPECT_EQ(monitor.jited_bytes, guest->jited_bytes);
    EXPECT_EQ(monitor.verified_insns, guest->verified_insns);
    Between runs{0, static_cast<int64_t>(monitor.run_count), true},
        time{0, static_cast<int64_t>(monitor.run_ns), true};
    for (const MonitorSampleT& s : own.samples()) {
      for (const auto& p : s.programs) {
        if (p->id != guest->id) continue;
        const bool earlier = s.guest_clock_ns + 50'000'000 < own.view().guest_ns;
        if (earlier) {
          runs.before = static_cast<int64_t>(p->run_count);
          time.before = static_cast<int64_t>(p->run_ns);
        }
        runs.after = std::max(runs.after, static_cast<int64_t>(p->run_count));
        time.after = std::max(time.after, static_cast<int64_t>(p->run_ns));
      }
    }
    EXPECT_LE(runs.before, static_cast<int64_t>(guest->run_count)) << guest->name;
    EXPECT_LE(time.before, static_cast<int64_t>(guest->run_ns)) << guest->name;
    // The last look at programs may be from before the view.
    EXPECT_LE(static_cast<int64_t>(guest->run_count), runs.after + 1000) << guest->name;
  }
}

// "KEY/FIELD=VALUE …" of a map's elements that are not zero.
std::string map_of(const GuestFrozenT& frozen, const std::string& name) {
  std::string out;
  for (const auto& map : frozen.maps) {
    if (map->name != name) continue;
    for (const auto& entry : map->entries)
      for (const auto& field : entry->fields)
        if (field->value != "0") out += entry->key + "/" + field->name + "=" + field->value + " ";
  }
  return out;
}

int64_t sum_of(const GuestFrozenT& frozen, const std::string& name, const std::string& field_name) {
  int64_t sum = 0;
  for (const auto& map : frozen.maps) {
    if (map->name != name) continue;
    for (const auto& entry : map->entries)
      for (const auto& field : entry->fields)
        if (field->name == field_name) sum += std::stoll(field->value);
  }
  return sum;
}

// KTSTR_TEST_KERNEL replaces them: tests/monitor_on_kernels goes through all series.
std::vector<std::string> kernels() {
  if (const char* one = std::getenv("KTSTR_TEST_KERNEL")) return {one};
  return {"7.3", "6.16"};
}

class MonitorOn : public testing::TestWithParam<std::string> {};

TEST_P(MonitorOn, SaysWhatTheGuestItselfSays) {
  Scratch scratch;
  std::string spec =
      scratch.write("spec.toml", spec_text({.scheduler = "scx_good", .work = "Mixed", .duration_s = 2}));
  auto run = launch(scratch, {"run", spec, "--kernel", GetParam(), "--out", scratch.path() + "/out"},
                    {"KTSTR_OWN_VIEW=1"});
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err;
  const OwnView own(read_log(scratch.path() + "/out/t/events.ktlog"));
  ASSERT_TRUE(own.valid());
  compare_events(own);
  compare_schedstat(own);
  compare_programs(own);
}

// One VM tells of it all: a write sets the scheduler's counter to where it gives up, so it dies when told.
TEST_P(MonitorOn, WritesIntoAMapAndFreezesTheSchedulerThatDiesOfIt) {
  Scratch scratch;
  std::string spec = scratch.write(
      "spec.toml",
      spec_text(
          {.scheduler = "scx_maps",
           .args = "\"--fail-after\", \"1000000000\"",
           .test =
               "auto_repro = false\nwatchdog_timeout_s = 7\n[[test.bpf_map_write]]\nmap = \".bss.stats\"\n"
               "field = \"stats.enqueued\"\nvalue = 2000000000\nat_s = 1\n"
               "[[test.bpf_map_write]]\nmap = \"by_cpu\"\nkey = 1\nfield = \"sort\"\n"
               "value = \"MAPS_USER\"\nat_s = 0.5\n",
           .work = "Mixed",
           .duration_s = 20}));
  auto run = launch(scratch, {"run", spec, "--kernel", GetParam(), "--out", scratch.path() + "/out"});
  const std::string folder = scratch.path() + "/out/t";
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  const auto log = read_log(folder + "/events.ktlog");
  const auto written = all_of<MapWrittenT, MapWritten>(log);
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(written[0].error + written[1].error, "");
  EXPECT_EQ(written[0].before + " " + written[0].after, "MAPS_NOBODY MAPS_USER");  // its time came first
  EXPECT_GE(std::stoll(written[1].after), 2'000'000'000);
  const auto watchdog = all_of<WatchdogSetT, WatchdogSet>(log);
  ASSERT_EQ(watchdog.size(), 1u);
  EXPECT_EQ(watchdog[0].error, "");
  EXPECT_EQ(watchdog[0].before_ns, 30'000'000'000u);
  EXPECT_EQ(watchdog[0].after_ns, 7'000'000'000u);

  const auto frozen = all_of<GuestFrozenT, GuestFrozen>(log);
  ASSERT_EQ(frozen.size(), 1u);
  EXPECT_GT(frozen[0].held_ns, 0u) << frozen[0].note;
  // Debian's 7.2 backport has damaged BTF: there the fixtures leave by scx_bpf_exit and use the global DSQ.
  EXPECT_TRUE(frozen[0].reason == "sched_ext exit 1025 (error_bpf)" ||
              frozen[0].reason == "sched_ext exit 65 (unreg_bpf)")
      << frozen[0].reason;
  EXPECT_EQ(frozen[0].ops_name, "maps");
  EXPECT_EQ(frozen[0].cpus.size(), 2u);
  EXPECT_TRUE(frozen[0].absent.empty()) << frozen[0].absent[0];
  EXPECT_FALSE(frozen[0].dsqs.empty());
  EXPECT_EQ(map_of(frozen[0], ".bss.stats").substr(0, 15), "/stats.enqueued");
  // Every enqueue is in each of the books: what they say adds up.
  const int64_t enqueues = sum_of(frozen[0], "by_pid", "enqueues");
  EXPECT_GT(enqueues, 10);
  EXPECT_NEAR(static_cast<double>(sum_of(frozen[0], "by_cpu", "enqueues")), static_cast<double>(enqueues),
              2);  // CPUs may
  EXPECT_NEAR(static_cast<double>(sum_of(frozen[0], "by_sort", "value")), static_cast<double>(enqueues),
              2);                                          // be amid one
  EXPECT_GT(sum_of(frozen[0], "of_task", "enqueues"), 0);  // of the tasks that are still there
  EXPECT_GT(sum_of(frozen[0], "recent", "value"), 0);
  EXPECT_NE(map_of(frozen[0], "by_cpu").find("1, CPU 1/sort=MAPS_USER"), std::string::npos)
      << map_of(frozen[0], "by_cpu");

  EXPECT_EQ(frozen[0].artifact, "frozen.json");
  const auto artifact = nlohmann::json::parse(read_file(folder + "/frozen.json"), nullptr, false);
  ASSERT_TRUE(artifact.is_object());
  EXPECT_EQ(artifact["payload"]["ops_name"], "maps");
  EXPECT_NE(run.out.find("at the exit (" + frozen[0].reason + "), with the VM paused for "),
            std::string::npos)
      << run.out;
  EXPECT_NE(run.out.find("map write .bss.stats stats.enqueued: "), std::string::npos) << run.out;
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, MonitorOn, testing::ValuesIn(kernels()), [](const testing::TestParamInfo<std::string>& kernel) {
      std::string name = kernel.param;
      std::replace_if(name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
      return "v" + name;
    });

TEST(Monitor, AShorterWatchdogFindsTheStallSooner) {
  Scratch scratch;
  std::string spec =
      scratch.write("spec.toml", spec_text({.scheduler = "scx_stall",
                                            .test = "auto_repro = false\nwatchdog_timeout_s = 1\n",
                                            .duration_s = 20}));
  auto run =
      launch_until_judged(scratch, {"run", spec, "--out", scratch.path() + "/out"}, scratch.path() + "/out");
  if (const std::string busy = host_was_too_busy(run); !busy.empty()) GTEST_SKIP() << busy;
  EXPECT_EQ(run.exit_code, 1) << run.err;
  const auto log = read_log(scratch.path() + "/out/t/events.ktlog");
  const auto watchdog = all_of<WatchdogSetT, WatchdogSet>(log);
  ASSERT_EQ(watchdog.size(), 1u);
  EXPECT_EQ(watchdog[0].before_ns, 2'000'000'000u);  // the scheduler's own
  EXPECT_EQ(watchdog[0].after_ns, 1'000'000'000u);
  const auto crash = all_of<CrashDetectedT, CrashDetected>(log);
  ASSERT_FALSE(crash.empty());
  EXPECT_EQ(crash[0].exit_kind, 1026u);
  EXPECT_NE(run.out.find("waits "), std::string::npos) << run.out;
}

TEST(Monitor, AnImbalanceThatLastsFailsTheTest) {
  Scratch scratch;
  std::string spec = scratch.write(
      "spec.toml",
      "[[test]]\nname = \"t\"\nllcs = 1\ncores = 2\nthreads = 1\nduration_s = 2\nenforce = true\n"
      "[[test.cgroup]]\nname = \"many\"\ncpuset = \"0\"\nworkers = 7\nwork = \"CpuSpin\"\n"
      "[[test.cgroup]]\nname = \"one\"\ncpuset = \"1\"\nworkers = 1\nwork = \"CpuSpin\"\n");
  auto run = launch(scratch, {"run", spec, "--out", scratch.path() + "/out"});
  EXPECT_EQ(run.exit_code, 1) << run.out << run.err;
  EXPECT_TRUE(run.out.starts_with("BUG SUMMARY: monitor: imbalance ratio up to ")) << run.out;
  EXPECT_NE(run.out.find("above 4 for "), std::string::npos) << run.out;
}

}  // namespace
}  // namespace ktstr::e2e
