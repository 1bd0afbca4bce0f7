#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "sdk/registry.h"

namespace ktstr {
namespace {

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    char escape[8];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      std::snprintf(escape, sizeof escape, "\\u%04X", byte);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

// As TOML reads it, whole numbers without a fraction: attributes that count things take those only.
std::string number(double value) {
  char text[40];
  if (std::isfinite(value) && value == std::floor(value) && std::fabs(value) < 1e15)
    std::snprintf(text, sizeof text, "%.0f", value);
  else
    std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

using Values = std::map<std::string, std::string, std::less<>>;

void set(Values& values, const char* name, const std::optional<double>& v) {
  if (v) values[name] = number(*v);
}
void set(Values& values, const char* name, const std::optional<unsigned>& v) {
  if (v) values[name] = std::to_string(*v);
}
void set(Values& values, const char* name, const std::optional<bool>& v) {
  if (v) values[name] = *v ? "true" : "false";
}
void set(Values& values, const char* name, const std::optional<std::string>& v) {
  if (v) values[name] = toml_text(*v);
}

void set(Values& values, const char* name, const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + toml_text(text);
  if (!texts.empty()) values[name] = "[" + list + "]";
}
void set(Values& values, const char* name, const std::map<std::string, std::string>& pairs) {
  std::string table;
  for (const auto& [key, text] : pairs)
    table += (table.empty() ? " " : ", ") + toml_text(key) + " = " + toml_text(text);
  if (!pairs.empty()) values[name] = "{" + table + " }";
}

struct ToToml {
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(double v) const { return number(v); }
  std::string operator()(const std::string& v) const { return toml_text(v); }
};

Values attributes(const TestOptions& o) {
  Values values;
  for (const auto& [name, value] : o.assertions.values()) values[name] = std::visit(ToToml{}, value);
  if (o.expect_err) values["expect_err"] = "true";
#define KTSTR_ATTRIBUTE(name) set(values, #name, o.name)
  KTSTR_ATTRIBUTE(expect_scx_bpf_error_contains);
  KTSTR_ATTRIBUTE(expect_scx_bpf_error_matches);
  KTSTR_ATTRIBUTE(numa_nodes);
  KTSTR_ATTRIBUTE(llcs);
  KTSTR_ATTRIBUTE(cores);
  KTSTR_ATTRIBUTE(threads);
  KTSTR_ATTRIBUTE(min_cpus);
  KTSTR_ATTRIBUTE(max_cpus);
  KTSTR_ATTRIBUTE(min_llcs);
  KTSTR_ATTRIBUTE(max_llcs);
  KTSTR_ATTRIBUTE(min_numa_nodes);
  KTSTR_ATTRIBUTE(max_numa_nodes);
  KTSTR_ATTRIBUTE(memory_mb);
  KTSTR_ATTRIBUTE(duration_s);
  KTSTR_ATTRIBUTE(attach_timeout_s);
  KTSTR_ATTRIBUTE(watchdog_timeout_s);
  KTSTR_ATTRIBUTE(kernel);
  KTSTR_ATTRIBUTE(kernels);
  KTSTR_ATTRIBUTE(extra_args);
  KTSTR_ATTRIBUTE(files);
  KTSTR_ATTRIBUTE(config);
  KTSTR_ATTRIBUTE(config_arg);
  KTSTR_ATTRIBUTE(env);
  KTSTR_ATTRIBUTE(build);
  KTSTR_ATTRIBUTE(sysctl);
  KTSTR_ATTRIBUTE(kernel_args);
  KTSTR_ATTRIBUTE(workers_per_cgroup);
  KTSTR_ATTRIBUTE(auto_repro);
  KTSTR_ATTRIBUTE(repro_tries);
  KTSTR_ATTRIBUTE(repro_history);
  KTSTR_ATTRIBUTE(repro_probes);
  KTSTR_ATTRIBUTE(not_starved);
  KTSTR_ATTRIBUTE(max_gap_ms);
  KTSTR_ATTRIBUTE(max_spread_pct);
  KTSTR_ATTRIBUTE(isolation);
  KTSTR_ATTRIBUTE(max_throughput_cv);
  KTSTR_ATTRIBUTE(min_work_rate);
  KTSTR_ATTRIBUTE(max_p99_wake_latency_ns);
  KTSTR_ATTRIBUTE(max_wake_latency_cv);
  KTSTR_ATTRIBUTE(min_iteration_rate);
  KTSTR_ATTRIBUTE(max_migration_ratio);
  KTSTR_ATTRIBUTE(max_imbalance_ratio);
  KTSTR_ATTRIBUTE(max_local_dsq_depth);
  KTSTR_ATTRIBUTE(fail_on_stall);
  KTSTR_ATTRIBUTE(sustained_samples);
  KTSTR_ATTRIBUTE(max_fallback_rate);
  KTSTR_ATTRIBUTE(max_keep_last_rate);
  KTSTR_ATTRIBUTE(enforce);
  KTSTR_ATTRIBUTE(allow_kernel_warnings);
#undef KTSTR_ATTRIBUTE
  return values;
}

// Where the first line that opens a table begins; the size when there is none.
size_t first_table(const std::string& toml) {
  for (size_t begin = 0; begin < toml.size();) {
    const size_t word = toml.find_first_not_of(" \t", begin);
    if (word != std::string::npos && toml[word] == '[') return begin;
    const size_t end = toml.find('\n', begin);
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return toml.size();
}

class Lister {
 public:
  void add(const RegisteredTest& test) {
    const TestOptions options = test.options();
    const std::string mark = "#@ " + test.file + ":" + std::to_string(test.line) + "\n";
    const std::string scheduler = options.scheduler.given() ? block_of(options.scheduler, mark) : "";
    tests_ += mark + "[[test]]\nname = " + toml_text(test.name) + "\n";
    if (!scheduler.empty()) tests_ += "scheduler = " + toml_text(scheduler) + "\n";
    for (const auto& [name, value] : attributes(options)) tests_ += name + " = " + value + "\n";
    // Lines of the table itself go before its sub-tables.
    const size_t tables = first_table(options.toml);
    tests_ += options.toml.substr(0, tables) + "\n";
    for (const CgroupOptions& group : options.cgroups) {
      tests_ += "[[test.cgroup]]\nname = " + toml_text(group.name) + "\n";
      if (group.workers) tests_ += "workers = " + std::to_string(*group.workers) + "\n";
      if (!group.work.empty()) tests_ += "work = " + toml_text(group.work) + "\n";
      if (!group.cpuset.empty()) tests_ += "cpuset = " + toml_text(group.cpuset) + "\n";
      tests_ += group.toml + "\n";
    }
    tests_ += options.toml.substr(tables) + "\n";
  }
  std::string take() { return kListHead + schedulers_ + tests_; }

 private:
  // The name of the block that says the same, made if there is none.
  std::string block_of(const SchedulerRef& scheduler, const std::string& mark) {
    std::string body = "binary = " + toml_text(scheduler.binary()) + "\nargs = [";
    for (const std::string& arg : scheduler.args()) body += (body.back() == '[' ? "" : ", ") + toml_text(arg);
    body += "]\n";
    const std::string wish = scheduler.name().empty()
                                 ? std::filesystem::path(scheduler.binary()).filename().string()
                                 : scheduler.name();
    for (unsigned n = 1;; ++n) {
      const std::string name = n == 1 ? wish : wish + "-" + std::to_string(n);
      auto [block, is_new] = blocks_.try_emplace(name, body);
      if (block->second != body) continue;
      if (is_new) schedulers_ += mark + "[scheduler." + toml_text(name) + "]\n" + body;
      return name;
    }
  }

  std::string schedulers_, tests_;
  Values blocks_;
};

}  // namespace

Result<std::string> list_as_toml(const std::vector<RegisteredTest>& tests) {
  Lister lister;
  std::map<std::string, const RegisteredTest*> names;
  for (const RegisteredTest& test : tests) {
    auto [first, is_new] = names.emplace(test.name, &test);
    if (!is_new)
      return Error::invalid(test.file + ":" + std::to_string(test.line) + ": test \"" + test.name +
                            "\" is already at " + first->second->file + ":" +
                            std::to_string(first->second->line))
          .with_hint("give each test of a binary a name of its own");
    lister.add(test);
  }
  return lister.take();
}

}  // namespace ktstr
