#include "spec/spec_attributes.h"

#include <array>
#include <cmath>
#include <cstdio>

#include "schemas/limits.h"
#include "schemas/spec_generated.h"

namespace ktstr {
namespace {

constexpr double kSecond = 1e9;
constexpr double kMillisecond = 1e6;

using enum ValueKind;

const Attribute kTestAttributes[] = {
    {.name = "numa_nodes",
     .kind = kInteger,
     .field = &TopologyT::numa_nodes,
     .min = 1,
     .max = 16,
     .unit = "nodes",
     .doc = "NUMA nodes of the VM; each has the same number of LLCs."},
    {.name = "llcs",
     .kind = kInteger,
     .field = &TopologyT::llcs,
     .min = 1,
     .max = 255,
     .unit = "LLCs",
     .doc = "Last-level caches of the VM; a multiple of numa_nodes."},
    {.name = "cores",
     .kind = kInteger,
     .field = &TopologyT::cores,
     .min = 1,
     .max = 255,
     .unit = "cores",
     .doc = "Cores per LLC."},
    {.name = "threads",
     .kind = kInteger,
     .field = &TopologyT::threads,
     .min = 1,
     .max = 8,
     .unit = "threads",
     .doc = "SMT threads per core; the VM has llcs * cores * threads CPUs, 255 at most."},
    {.name = "min_cpus",
     .kind = kInteger,
     .field = &TestSpecT::min_cpus,
     .min = 0,
     .max = 255,
     .unit = "CPUs",
     .doc = "The test is skipped in a VM with fewer CPUs; 0: no bound."},
    {.name = "max_cpus",
     .kind = kInteger,
     .field = &TestSpecT::max_cpus,
     .min = 0,
     .max = 255,
     .unit = "CPUs",
     .doc = "The test is skipped in a VM with more CPUs; 0: no bound."},
    {.name = "min_llcs",
     .kind = kInteger,
     .field = &TestSpecT::min_llcs,
     .min = 0,
     .max = 255,
     .unit = "LLCs",
     .doc = "The test is skipped in a VM with fewer last-level caches; 0: no bound."},
    {.name = "max_llcs",
     .kind = kInteger,
     .field = &TestSpecT::max_llcs,
     .min = 0,
     .max = 255,
     .unit = "LLCs",
     .doc = "The test is skipped in a VM with more last-level caches; 0: no bound."},
    {.name = "min_numa_nodes",
     .kind = kInteger,
     .field = &TestSpecT::min_numa_nodes,
     .min = 0,
     .max = 255,
     .unit = "nodes",
     .doc = "The test is skipped in a VM with fewer NUMA nodes; 0: no bound."},
    {.name = "max_numa_nodes",
     .kind = kInteger,
     .field = &TestSpecT::max_numa_nodes,
     .min = 0,
     .max = 255,
     .unit = "nodes",
     .doc = "The test is skipped in a VM with more NUMA nodes; 0: no bound."},
    {.name = "memory_mb",
     .kind = kInteger,
     .field = &TestSpecT::memory_mb,
     .min = 256,
     .max = 65536,
     .unit = "MiB",
     .doc = "Memory of the VM, 128 MiB and 24 MiB for each CPU at least."},
    {.name = "duration_s",
     .kind = kNumber,
     .field = &TestSpecT::duration_ns,
     .scale = kSecond,
     .min = 0.1,
     .max = 3600,
     .unit = "seconds",
     .doc = "How long the workload runs, in the VM's time, once sched_ext reports enabled."},
    {.name = "attach_timeout_s",
     .kind = kNumber,
     .field = &TestSpecT::attach_timeout_ns,
     .scale = kSecond,
     .min = 1,
     .max = 600,
     .unit = "seconds",
     .doc = "Time from the scheduler's start until sched_ext reports enabled, before scaling by the host's "
            "speed."},
    {.name = "watchdog_timeout_s",
     .kind = kNumber,
     .field = &TestSpecT::watchdog_timeout_ns,
     .scale = kSecond,
     .min = 0,
     .max = 600,
     .unit = "seconds",
     .doc =
         "How long a task may be runnable and not run before sched_ext reports a stall; the monitor sets it "
         "while the scheduler attaches; 0: the scheduler's own."},
    {.name = "kernel",
     .kind = kText,
     .field = &TestSpecT::kernel,
     .doc = "The kernel that this test wants, as --kernel takes it: a series, a release, an image.",
     .built_in = "the run's"},
    {.name = "kernels",
     .kind = kTexts,
     .field = &TestSpecT::kernels,
     .doc = "Conditions on the kernel's version, all of which must hold: \">=6.18\", \"<7.3\", \"7.0|7.3\"; "
            "on another "
            "kernel the test is skipped.",
     .built_in = "any kernel"},
    {.name = "extra_args", .kind = kTexts, .doc = "Appended to the scheduler's `args`.", .built_in = "none"},
    {.name = "files",
     .kind = kTexts,
     .doc = "Files of the host that the VM holds in /ktstr/files/, a path (relative to the spec) or a "
            "program's name; programs "
            "and shared libraries bring their libraries. `{files}` in args, config and env is that folder.",
     .built_in = "none"},
    {.name = "config",
     .kind = kText,
     .max = 262144,
     .doc =
         "Content of the scheduler's configuration file; `{config}` in args and env is its path in the VM.",
     .built_in = "none"},
    {.name = "config_arg",
     .kind = kText,
     .doc = "Argument before the path of `config`: \"--config\"; one that ends with '=' or ':' is joined "
            "with it; \"\": the "
            "path alone.",
     .built_in = "none: `{config}` in args or env names it"},
    {.name = "env",
     .kind = kPairs,
     .doc = "Environment of the scheduler's process, over init's; RUST_BACKTRACE and RUST_LOG of "
            "ktstr-launch are passed on "
            "where this does not set them.",
     .built_in = "none"},
    {.name = "build",
     .kind = kText,
     .doc = "Shell command that makes the scheduler's binary. It runs once a run, in the spec's folder, "
            "before the binary is "
            "looked for; when it fails, nothing is run. Not with --no-build, and not for a binary that "
            "KTSTR_SCHEDULER_NAME "
            "names.",
     .built_in = "none"},
    {.name = "sysctl",
     .kind = kPairs,
     .doc = "Kernel settings, made before the scheduler starts: { \"kernel.sched_rt_runtime_us\" = -1 }.",
     .built_in = "none"},
    {.name = "kernel_args",
     .kind = kTexts,
     .field = &TestSpecT::kernel_args,
     .doc = "Words appended to the kernel's command line.",
     .built_in = "none"},
    {.name = "workers_per_cgroup",
     .kind = kInteger,
     .field = std::monostate{},
     .min = 1,
     .max = 1024,
     .unit = "workers",
     .doc = "Workers of each [[test.cgroup]] without `workers`.",
     .built_in = "1"},
    {.name = "auto_repro",
     .kind = kBool,
     .field = &TestSpecT::auto_repro,
     .doc = "After a crash, boot a repro VM with probes on the crash chain."},
    {.name = "repro_tries",
     .kind = kInteger,
     .field = &TestSpecT::repro_tries,
     .min = 1,
     .max = kMaxReproTries,
     .unit = "VMs",
     .doc = "How many repro VMs are booted; the report says how many crashed in the same way."},
    {.name = "repro_history",
     .kind = kInteger,
     .field = &TestSpecT::probe_history,
     .min = 1,
     .max = kMaxReproHistory,
     .unit = "hits",
     .doc = "How many calls of each function auto-repro shows, the last ones before the crash."},
    {.name = "repro_probes",
     .kind = kText,
     .field = &TestSpecT::repro_probes,
     .doc =
         "What the probes of auto-repro take: \"full\", returns and values of every function, or \"light\", "
         "those of the crash chain only, which slows the workload less.",
     .built_in = "\"light\" when the kernel's backtrace gives the chain, else \"full\""},
    {.name = "expect_err",
     .kind = kBool,
     .field = &TestSpecT::expect_err,
     .doc = "The scheduler is expected to fail: the test passes when it does, and fails when it does not."},
    {.name = "expect_scx_bpf_error_contains",
     .kind = kText,
     .field = &TestSpecT::expect_scx_bpf_error_contains,
     .doc = "Text that the scheduler log or the sched_ext dump must contain, byte for byte; needs expect_err "
            "= true."},
    {.name = "expect_scx_bpf_error_matches",
     .kind = kText,
     .field = &TestSpecT::expect_scx_bpf_error_matches,
     .doc = "RE2 expression that must match in the scheduler log followed by the sched_ext dump; needs "
            "expect_err = true."},
    {.name = "not_starved",
     .kind = kBool,
     .field = &TestSpecT::not_starved,
     .doc = "Fail the test when a worker made no progress, or could not do its work (a fork, an open that "
            "failed)."},
    {.name = "max_gap_ms",
     .kind = kNumber,
     .field = &TestSpecT::max_gap_ns,
     .scale = kMillisecond,
     .min = 0,
     .max = 3600000,
     .unit = "milliseconds",
     .doc = "Longest time that a worker may be runnable and not run, before scaling by the host's speed; 0: "
            "not checked.",
     .given = 2000},
    {.name = "max_spread_pct",
     .kind = kNumber,
     .field = &TestSpecT::max_spread_pct,
     .min = 0,
     .max = 100,
     .unit = "percent",
     .doc = "Largest difference of run time between the workers of a cgroup, in percent of the workload's "
            "time; not checked below one second of workload; 0: not checked."},
    {.name = "isolation",
     .kind = kBool,
     .field = &TestSpecT::isolation,
     .doc = "Fail the test when a worker ran on a CPU that its cgroup's cpuset did not allow."},
    {.name = "max_throughput_cv",
     .kind = kNumber,
     .field = &TestSpecT::max_throughput_cv,
     .min = 0,
     .max = 1000,
     .unit = "",
     .doc = "Largest coefficient of variation, over the workers of a cgroup, of iterations per second of CPU "
            "time; 0: not checked."},
    {.name = "min_work_rate",
     .kind = kNumber,
     .field = &TestSpecT::min_work_rate,
     .min = 0,
     .max = 1e12,
     .unit = "per second",
     .doc = "Fewest iterations per second of CPU time, of each worker; 0: not checked."},
    {.name = "max_p99_wake_latency_ns",
     .kind = kInteger,
     .field = &TestSpecT::max_p99_wake_latency_ns,
     .min = 0,
     .max = 3.6e12,
     .unit = "nanoseconds",
     .doc = "Largest 99th percentile of the wake-up latency, of each worker that is woken; 0: not checked."},
    {.name = "max_wake_latency_cv",
     .kind = kNumber,
     .field = &TestSpecT::max_wake_latency_cv,
     .min = 0,
     .max = 1000,
     .unit = "",
     .doc = "Largest coefficient of variation of the wake-up latency, of each worker that is woken; 0: not "
            "checked."},
    {.name = "min_iteration_rate",
     .kind = kNumber,
     .field = &TestSpecT::min_iteration_rate,
     .min = 0,
     .max = 1e12,
     .unit = "per second",
     .doc = "Fewest iterations per second of wall time, of each worker; 0: not checked."},
    {.name = "max_migration_ratio",
     .kind = kNumber,
     .field = &TestSpecT::max_migration_ratio,
     .min = 0,
     .max = 1e9,
     .unit = "",
     .doc = "Most migrations per iteration, of each worker; 0: not checked."},
    {.name = "max_imbalance_ratio",
     .kind = kNumber,
     .field = &TestSpecT::max_imbalance_ratio,
     .min = 0,
     .max = 1e6,
     .unit = "",
     .doc =
         "Monitor: largest nr_running of a CPU divided by the smallest (1 at least); tasks in DSQs that CPUs "
         "share do not count while no CPU is idle; 0: not checked.",
     .given = 4},
    {.name = "max_local_dsq_depth",
     .kind = kInteger,
     .field = &TestSpecT::max_local_dsq_depth,
     .min = 0,
     .max = 1000000,
     .unit = "tasks",
     .doc = "Monitor: most tasks on one CPU's local DSQ; 0: not checked.",
     .given = 50},
    {.name = "fail_on_stall",
     .kind = kBool,
     .field = &TestSpecT::fail_on_stall,
     .doc = "Monitor: fail the test when the run queue clock of a busy CPU does not advance.",
     .given = 1},
    {.name = "sustained_samples",
     .kind = kInteger,
     .field = &TestSpecT::sustained_samples,
     .min = 0,
     .max = 100000,
     .unit = "samples",
     .doc =
         "Monitor: number of samples in a row, of 100 ms each, that must exceed a threshold to violate it; "
         "0: none is checked.",
     .given = 5},
    {.name = "max_fallback_rate",
     .kind = kNumber,
     .field = &TestSpecT::max_fallback_rate,
     .min = 0,
     .max = 1e9,
     .unit = "per second",
     .doc = "Monitor: most SCX_EV_SELECT_CPU_FALLBACK events per second; 0: not checked.",
     .given = 200},
    {.name = "max_keep_last_rate",
     .kind = kNumber,
     .field = &TestSpecT::max_keep_last_rate,
     .min = 0,
     .max = 1e9,
     .unit = "per second",
     .doc = "Monitor: most SCX_EV_DISPATCH_KEEP_LAST events while other tasks wait, per CPU that has one "
            "task, calls of sched_yield subtracted; 0: not checked.",
     .given = 100},
    {.name = "enforce",
     .kind = kBool,
     .field = &TestSpecT::enforce,
     .doc = "A violated threshold of imbalance, local DSQ, fallback or keep_last fails the test; false: it "
            "is only "
            "reported. fail_on_stall, not_starved and max_gap_ms judge in both cases."},
    {.name = "allow_kernel_warnings",
     .kind = kTexts,
     .field = &TestSpecT::allow_kernel_warnings,
     .doc =
         "Functions of the kernel whose messages (WARNING, lockdep, RCU stall and the like) do not fail the "
         "test; \"*\": all. Without it each such message from the scheduler's start on fails it.",
     .built_in = "none"},
};

// 1200000 -> "1200000", 0.5 -> "0.5": the shortest text that reads as the number.
std::string number_text(double value) {
  if (value == std::floor(value) && std::fabs(value) < 1e15) {
    return std::to_string(static_cast<int64_t>(value));
  }
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.9g", value);
  return buffer;
}

}  // namespace

double as_number(const SpecValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return static_cast<double>(*integer);
  return std::get<double>(value);
}

std::span<const Attribute> test_attributes() { return kTestAttributes; }

const Attribute* find_attribute(std::string_view name) {
  for (const Attribute& attribute : kTestAttributes)
    if (attribute.name == name) return &attribute;
  return nullptr;
}

TestSpecT default_test() {
  TestSpecT test;
  test.topology = std::make_unique<TopologyT>();
  for (const Attribute& attribute : kTestAttributes) {
    if (!attribute.given) continue;
    if (attribute.kind == kBool)
      set_attribute(test, attribute, *attribute.given != 0);
    else
      set_attribute(test, attribute, *attribute.given);
  }
  return test;
}

void set_attribute(TestSpecT& test, const Attribute& attribute, const SpecValue& value) {
  struct Setter {
    TestSpecT& test;
    const Attribute& attribute;
    const SpecValue& value;
    void operator()(std::monostate) const {}
    void operator()(bool TestSpecT::* field) const { test.*field = std::get<bool>(value); }
    void operator()(std::string TestSpecT::* field) const { test.*field = std::get<std::string>(value); }
    void operator()(SpecTexts TestSpecT::* field) const { test.*field = std::get<SpecTexts>(value); }
    void operator()(uint32_t TestSpecT::* field) const { test.*field = static_cast<uint32_t>(scaled()); }
    void operator()(uint64_t TestSpecT::* field) const {
      test.*field = static_cast<uint64_t>(std::llround(scaled()));
    }
    void operator()(float TestSpecT::* field) const { test.*field = static_cast<float>(scaled()); }
    void operator()(uint32_t TopologyT::* field) const {
      (*test.topology).*field = static_cast<uint32_t>(scaled());
    }
    double scaled() const { return as_number(value) * attribute.scale; }
  };
  std::visit(Setter{test, attribute, value}, attribute.field);
}

std::optional<SpecValue> get_attribute(const TestSpecT& test, const Attribute& attribute) {
  struct Getter {
    const TestSpecT& test;
    const Attribute& attribute;
    std::optional<SpecValue> operator()(std::monostate) const { return std::nullopt; }
    std::optional<SpecValue> operator()(bool TestSpecT::* field) const { return test.*field; }
    std::optional<SpecValue> operator()(std::string TestSpecT::* field) const {
      if ((test.*field).empty()) return std::nullopt;
      return test.*field;
    }
    std::optional<SpecValue> operator()(SpecTexts TestSpecT::* field) const {
      if ((test.*field).empty()) return std::nullopt;
      return test.*field;
    }
    std::optional<SpecValue> operator()(uint32_t TestSpecT::* field) const { return number(test.*field); }
    std::optional<SpecValue> operator()(uint64_t TestSpecT::* field) const {
      return number(static_cast<double>(test.*field));
    }
    std::optional<SpecValue> operator()(float TestSpecT::* field) const { return number(test.*field); }
    std::optional<SpecValue> operator()(uint32_t TopologyT::* field) const {
      return number((*test.topology).*field);
    }
    SpecValue number(double stored) const {
      double value = stored / attribute.scale;
      if (attribute.kind == kInteger) return static_cast<int64_t>(value);
      return value;
    }
  };
  return std::visit(Getter{test, attribute}, attribute.field);
}

std::string to_toml(const SpecValue& value) {
  if (const bool* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return std::to_string(*integer);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    std::string list;
    for (const std::string& text : *texts) list += (list.empty() ? "" : ", ") + to_toml(text);
    return "[" + list + "]";
  }
  if (const auto* pairs = std::get_if<SpecPairs>(&value)) {
    std::string table;
    for (const auto& [key, text] : *pairs)
      table += (table.empty() ? " " : ", ") + to_toml(key) + " = " + to_toml(text);
    return "{" + table + " }";
  }
  const std::string* text = std::get_if<std::string>(&value);
  if (!text) return number_text(as_number(value));
  std::string out = "\"";
  for (char c : *text) {
    char escape[8];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::optional<unsigned> parse_share(std::string_view text) {
  if (text.size() < 2 || text.size() > 5 || text.back() != '%') return std::nullopt;
  unsigned percent = 0;
  for (char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    percent = percent * 10 + static_cast<unsigned>(c - '0');
  }
  if (percent < 1 || percent > 1000) return std::nullopt;
  return percent;
}

std::string wanted_text(const Attribute& attribute) {
  switch (attribute.kind) {
    case kBool:
      return "true or false";
    case kText:
      return "a text in quotes";
    case kTexts:
      return "a list of texts";
    case kPairs:
      return "a table of texts and numbers";
    case kScalar:
      return "a text, a number, true or false";
    case kShare:
      return "a whole number from " + number_text(attribute.min) + " to " + number_text(attribute.max) +
             ", or a share such as \"90%\"";
    case kInteger:
    case kNumber:
      break;
  }
  return (attribute.kind == kInteger ? "a whole number" : "a number") + std::string(" from ") +
         number_text(attribute.min) + " to " + number_text(attribute.max);
}

}  // namespace ktstr
