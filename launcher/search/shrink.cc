#include "launcher/search/shrink.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/cpu_list.h"
#include "base/text.h"
#include "spec/cpu_set.h"
#include "spec/spec.h"
#include "spec/spec_attributes.h"
#include "spec/spec_writer.h"
#include "workload/work_types.h"

namespace ktstr {
namespace {

constexpr uint64_t kShortest = 100'000'000;  // of duration_s
constexpr size_t kNamesShown = 4;

using Out = std::vector<Reduction>;

unsigned cpus_of(const TopologyT& t) { return t.llcs * t.cores * t.threads; }

// Groups of the test, and those that steps start.
std::vector<CgroupSpecT*> all_groups(TestSpecT& spec) {
  std::vector<CgroupSpecT*> out;
  for (auto& group : spec.cgroups) out.push_back(group.get());
  for (auto& step : spec.steps)
    for (auto& op : step->ops)
      if (op->group) out.push_back(op->group.get());
  return out;
}

// "cgroup a", "cgroups a, b, c, d and 3 more".
std::string named(const std::string& noun, const std::vector<std::string>& names) {
  std::string out = noun + (names.size() == 1 ? " " : "s ");
  for (size_t i = 0; i < names.size() && i < kNamesShown; ++i) out += (i ? ", " : "") + names[i];
  if (names.size() > kNamesShown) out += " and " + std::to_string(names.size() - kNamesShown) + " more";
  return out;
}

// Operations and payloads that are about what is not there any more go with it.
void drop_orphans(TestSpecT& spec) {
  std::set<std::string> groups, payloads;
  for (const auto& group : spec.cgroups) groups.insert(group->name);
  for (const auto& payload : spec.payloads) payloads.insert(payload->name);
  for (auto& payload : spec.payloads)
    if (!groups.contains(payload->cgroup)) payload->cgroup.clear();
  for (auto& step : spec.steps)
    std::erase_if(step->ops, [&](const auto& op) {
      if (!op->payload.empty()) return !payloads.contains(op->payload);
      if (op->kind == OpKind::AddCgroup) return !groups.insert(op->cgroup).second;
      if (op->group && !op->group->payload.empty() && !payloads.contains(op->group->payload)) return true;
      const bool known = groups.contains(op->cgroup) && (op->other.empty() || groups.contains(op->other));
      if (op->kind == OpKind::RemoveCgroup) groups.erase(op->cgroup);
      return !known;
    });
}

// Takes `count` elements from `at` on out of a list of `size`: all of them, halves, …, single ones.
void each_chunk(size_t size, const std::function<void(size_t at, size_t count)>& visit) {
  for (size_t count = size; count > 0; count = count == 1 ? 0 : (count + 1) / 2)
    for (size_t at = 0; at < size; at += count) visit(at, std::min(count, size - at));
}

// A list of the test, as pointers to elements that have a name.
template <typename List, typename Name>
void reduce_list(const TestSpecT& spec, List TestSpecT::* list, const std::string& noun, Name name,
                 Out& out) {
  each_chunk((spec.*list).size(), [&](size_t at, size_t count) {
    Reduction r{.what = {}, .spec = spec, .grain = count};
    auto& elements = r.spec.*list;
    const auto from = elements.begin() + static_cast<std::ptrdiff_t>(at);
    std::vector<std::string> names;
    for (size_t i = 0; i < count; ++i) names.push_back(name(from[static_cast<std::ptrdiff_t>(i)]));
    elements.erase(from, from + static_cast<std::ptrdiff_t>(count));
    r.what = named(noun, names);
    drop_orphans(r.spec);
    out.push_back(std::move(r));
  });
}

void reduce_steps(const TestSpecT& spec, Out& out) {
  reduce_list(spec, &TestSpecT::steps, "step", [](const auto& s) { return s->name; }, out);
}

void reduce_cgroups(const TestSpecT& spec, Out& out) {
  reduce_list(spec, &TestSpecT::cgroups, "cgroup", [](const auto& g) { return g->name; }, out);
}

void reduce_payloads(const TestSpecT& spec, Out& out) {
  reduce_list(spec, &TestSpecT::payloads, "payload", [](const auto& p) { return p->name; }, out);
}

void reduce_writes(const TestSpecT& spec, Out& out) {
  reduce_list(spec, &TestSpecT::bpf_map_write, "map write", [](const auto& w) { return w->map; }, out);
}

void reduce_ops(const TestSpecT& spec, Out& out) {
  size_t all = 0;
  for (const auto& step : spec.steps) all += step->ops.size();
  each_chunk(all, [&](size_t at, size_t count) {
    Reduction r{.what = {}, .spec = spec, .grain = count};
    std::vector<std::string> names;
    size_t place = 0;
    for (auto& step : r.spec.steps)
      std::erase_if(step->ops, [&](const auto& op) {
        const bool gone = place >= at && place < at + count;
        ++place;
        if (gone) names.push_back("\"" + op->text + "\"");
        return gone;
      });
    r.what = named("operation", names);
    drop_orphans(r.spec);
    out.push_back(std::move(r));
  });
}

// The CPUs of `rule` (or of `list`, where there is no rule) that this topology still has; none: all.
void fit_cpus(std::string& list, std::string& rule, const TopologyT& topology) {
  if (list.empty() && rule.empty()) return;
  if (auto fits = resolve_cpu_rule(rule.empty() ? list : rule, topology)) {
    list = cpu_list(*fits);
    return;
  }
  rule.clear();
  auto cpus = parse_cpu_list(list, kMaxVcpus + 1);
  std::vector<unsigned> left;
  if (cpus)
    std::copy_if(cpus->begin(), cpus->end(), std::back_inserter(left),
                 [&](unsigned c) { return c < cpus_of(topology); });
  list = cpu_list(left);
}

void fit_topology(TestSpecT& spec) {
  const TopologyT& topology = *spec.topology;
  for (CgroupSpecT* group : all_groups(spec)) {
    fit_cpus(group->cpuset, group->cpuset_rule, topology);
    fit_cpus(group->affinity, group->affinity_rule, topology);
  }
  std::string none;
  for (auto& step : spec.steps)
    for (auto& op : step->ops) fit_cpus(op->cpus, none, topology);
}

std::string topology_text(const TopologyT& t) {
  const unsigned cpus = cpus_of(t);
  std::string out = std::to_string(cpus) + (cpus == 1 ? " CPU" : " CPUs");
  if (t.llcs > 1 || t.threads > 1)
    out += " (" + std::to_string(t.numa_nodes) + "n" + std::to_string(t.llcs) + "l" +
           std::to_string(t.cores) + "c" + std::to_string(t.threads) + "t)";
  return out;
}

void reduce_cpus(const TestSpecT& spec, Out& out) {
  const TopologyT now = *spec.topology;
  auto add = [&](TopologyT t) {
    t.cores = std::max(t.cores, 1u);
    t.llcs = std::max(t.llcs - t.llcs % t.numa_nodes, t.numa_nodes);
    const bool simpler = t.numa_nodes <= now.numa_nodes && t.llcs <= now.llcs && t.threads <= now.threads;
    if (cpus_of(t) > cpus_of(now) || (cpus_of(t) == cpus_of(now) && !simpler)) return;
    Reduction r{.what = topology_text(now) + " → " + topology_text(t), .spec = spec};
    *r.spec.topology = t;
    fit_topology(r.spec);
    out.push_back(std::move(r));
  };
  const auto flat = [&](unsigned cores) {
    TopologyT t;
    t.cores = cores;
    return t;
  };
  add(flat(1));
  if (cpus_of(now) > 2) add(flat(2));
  if (cpus_of(now) > 4) add(flat(cpus_of(now) / 2));
  add(flat(cpus_of(now)));
  auto axis = [&](uint32_t TopologyT::* field, std::initializer_list<uint32_t> values) {
    for (uint32_t value : values) {
      if (value >= now.*field || value == 0) continue;
      TopologyT t = now;
      t.*field = value;
      add(t);
    }
  };
  axis(&TopologyT::numa_nodes, {1, now.numa_nodes / 2});
  axis(&TopologyT::llcs, {now.numa_nodes, now.llcs / 2, now.llcs - now.numa_nodes});
  axis(&TopologyT::threads, {1});
  axis(&TopologyT::cores, {1, 2, now.cores / 2, now.cores - 1});
}

// Two digits are enough.
uint64_t rounded(double ns) {
  const double unit = std::pow(10.0, std::floor(std::log10(ns)) - 1);
  return static_cast<uint64_t>(std::llround(std::round(ns / unit) * unit));
}

// Steps and writes keep their place within the workload.
void reduce_duration(const TestSpecT& spec, Out& out) {
  for (double part : {0.0, 0.125, 0.25, 0.5, 0.75}) {
    const uint64_t target =
        std::max(kShortest, part == 0 ? kShortest : rounded(static_cast<double>(spec.duration_ns) * part));
    if (target >= spec.duration_ns) continue;
    Reduction r{.what = "duration " + human_ns(spec.duration_ns) + " → " + human_ns(target), .spec = spec};
    r.spec.duration_ns = target;
    const double factor = static_cast<double>(target) / static_cast<double>(spec.duration_ns);
    const auto shorter = [&](uint64_t ns) {
      return static_cast<uint64_t>(static_cast<double>(ns) * factor / 1e6) * 1'000'000;
    };
    for (auto& step : r.spec.steps) step->hold_ns = shorter(step->hold_ns);
    for (auto& write : r.spec.bpf_map_write) write->at_ns = shorter(write->at_ns);
    out.push_back(std::move(r));
  }
}

// One change of all groups at once, then of each. `change` returns what it does ("8 → 1"), empty: nothing is to be changed.
void each_group(const TestSpecT& spec, const std::string& noun,
                const std::function<std::string(CgroupSpecT&)>& change, Out& out) {
  Reduction all{.what = noun + " of all cgroups", .spec = spec, .grain = 2};
  size_t changed = 0;
  for (CgroupSpecT* group : all_groups(all.spec)) changed += change(*group).empty() ? 0 : 1;
  if (changed > 1) out.push_back(std::move(all));
  TestSpecT counted(spec);
  const size_t groups = all_groups(counted).size();
  for (size_t i = 0; i < groups; ++i) {
    Reduction r{.what = {}, .spec = spec, .grain = 1};
    CgroupSpecT& group = *all_groups(r.spec)[i];
    const std::string what = change(group);
    if (what.empty()) continue;
    r.what = noun + " of " + group.name + ": " + what;
    out.push_back(std::move(r));
  }
}

void reduce_workers(const TestSpecT& spec, Out& out) {
  for (double part : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    each_group(
        spec, "workers",
        [&](CgroupSpecT& group) -> std::string {
          const uint32_t size = std::max(group_size(group), 1u), teams = group.workers / size;
          const auto left = static_cast<uint32_t>(part * teams);
          const uint32_t target = (part == 1.0 ? teams - 1 : std::max(left, 1u)) * size;  // 1.0: one less
          if (teams <= 1 || target >= group.workers || target == 0) return "";
          const std::string what = std::to_string(group.workers) + " → " + std::to_string(target);
          group.workers = target;
          return what;
        },
        out);
  }
}

void reduce_work(const TestSpecT& spec, Out& out) {
  for (WorkType simple : {WorkType::CpuSpin, WorkType::YieldHeavy})
    each_group(
        spec, "work",
        [&](CgroupSpecT& group) -> std::string {
          if (group.work == simple || group.work == WorkType::CpuSpin) return "";
          const std::string what =
              std::string(EnumNameWorkType(group.work)) + " → " + EnumNameWorkType(simple);
          group.work = simple;
          group.phases.clear();
          group.payload.clear();
          set_work_defaults(group);
          group.burst_ns = CgroupSpecT().burst_ns;
          group.pause_ns = CgroupSpecT().pause_ns;
          return what;
        },
        out);
  each_group(
      spec, "parameters of the work",
      [&](CgroupSpecT& group) -> std::string {
        CgroupSpecT usual(group);
        set_work_defaults(usual);
        usual.burst_ns = CgroupSpecT().burst_ns;
        usual.pause_ns = CgroupSpecT().pause_ns;
        const uint32_t size = std::max(group_size(usual), 1u);
        usual.workers = std::max(usual.workers / size, 1u) * size;
        bool same = usual.burst_ns == group.burst_ns && usual.pause_ns == group.pause_ns;
        for (const WorkNumber& number : work_numbers())
          same = same && usual.*number.field == group.*number.field;
        if (same) return "";
        group = usual;
        return "as by default";
      },
      out);
}

void reduce_placement(const TestSpecT& spec, Out& out) {
  auto drop = [&](const std::string& noun, auto change) { each_group(spec, noun, change, out); };
  drop("cpuset", [](CgroupSpecT& group) {
    group.cpuset_rule.clear();
    return std::exchange(group.cpuset, "");
  });
  drop("affinity", [](CgroupSpecT& group) {
    group.affinity_rule.clear();
    return std::exchange(group.affinity, "");
  });
  drop("policy", [](CgroupSpecT& group) -> std::string {
    if (group.policy == SchedPolicy::Inherit) return "";
    group.priority = 0;
    return EnumNameSchedPolicy(std::exchange(group.policy, SchedPolicy::Inherit));
  });
  drop("nice level", [](CgroupSpecT& group) -> std::string {
    const int nice = std::exchange(group.nice, 0);
    return nice == 0 ? "" : std::to_string(nice);
  });
}

// Attributes that have their own kind, or that say what the failure is.
bool is_kept(std::string_view name) {
  constexpr std::string_view kKept[] = {"numa_nodes",
                                        "llcs",
                                        "cores",
                                        "threads",
                                        "duration_s",
                                        "memory_mb",
                                        "kernel",
                                        "auto_repro",
                                        "repro_tries",
                                        "repro_history",
                                        "repro_probes",
                                        "expect_err",
                                        "kernels",
                                        "expect_scx_bpf_error_contains",
                                        "expect_scx_bpf_error_matches"};
  return std::find(std::begin(kKept), std::end(kKept), name) != std::end(kKept);
}

void reduce_settings(const TestSpecT& spec, Out& out) {
  const TestSpecT usual = default_test();
  std::vector<const Attribute*> set;
  for (const Attribute& attribute : test_attributes()) {
    const auto value = get_attribute(spec, attribute);
    if (value && value != get_attribute(usual, attribute) && !is_kept(attribute.name))
      set.push_back(&attribute);
  }
  each_chunk(set.size(), [&](size_t at, size_t count) {
    Reduction r{.what = {}, .spec = spec, .grain = count};
    std::vector<std::string> names;
    for (size_t i = at; i < at + count; ++i) {
      names.emplace_back(set[i]->name);
      if (auto value = get_attribute(usual, *set[i]))
        set_attribute(r.spec, *set[i], *value);
      else if (set[i]->kind == ValueKind::kTexts)
        set_attribute(r.spec, *set[i], SpecTexts());
      else
        set_attribute(r.spec, *set[i], std::string());
    }
    r.what = named("setting", names);
    out.push_back(std::move(r));
  });
  reduce_list(spec, &TestSpecT::sysctl, "sysctl", [](const auto& s) { return s->key; }, out);
  reduce_list(spec, &TestSpecT::files, "file", [](const auto& f) { return f->name; }, out);
  if (!spec.scheduler) return;
  each_chunk(spec.scheduler->env.size(), [&](size_t at, size_t count) {
    Reduction r{.what = {}, .spec = spec, .grain = count};
    auto& env = r.spec.scheduler->env;
    const auto from = env.begin() + static_cast<std::ptrdiff_t>(at);
    std::vector<std::string> names;
    for (size_t i = 0; i < count; ++i) names.push_back(from[static_cast<std::ptrdiff_t>(i)]->key);
    env.erase(from, from + static_cast<std::ptrdiff_t>(count));
    r.what = named("variable", names);
    out.push_back(std::move(r));
  });
}

// What makes a run quicker comes first.
constexpr void (*kKinds[])(const TestSpecT&, Out&) = {
    reduce_steps,   reduce_cgroups, reduce_payloads, reduce_duration,  reduce_cpus,    reduce_writes,
    reduce_workers, reduce_ops,     reduce_work,     reduce_placement, reduce_settings};

}  // namespace

Shrinker::Shrinker(const TestSpecT& failing, std::function<bool(const TestSpecT&)> valid)
    : valid_(std::move(valid)), best_(failing) {
  tried_.insert(spec_text(best_));
  fill();
}

void Shrinker::fill() {
  queue_.clear();
  place_ = 0;
  kKinds[kind_](best_, queue_);
}

const Reduction* Shrinker::next() {
  while (true) {
    for (; place_ < queue_.size(); ++place_) {
      const Reduction& r = queue_[place_];
      if (r.grain <= most_grain_ && tried_.insert(spec_text(r.spec)).second && valid_(r.spec)) return &r;
    }
    const bool round_over = kind_ + 1 == std::size(kKinds);
    if (round_over && !std::exchange(found_in_round_, false)) return nullptr;
    kind_ = round_over ? 0 : kind_ + 1;
    most_grain_ = static_cast<size_t>(-1);
    fill();
  }
}

void Shrinker::answer(bool still_fails) {
  if (!still_fails) {
    ++place_;
    return;
  }
  const size_t grain = queue_[place_].grain;
  best_ = std::move(queue_[place_].spec);
  if (grain != 0) most_grain_ = grain;
  found_in_round_ = true;
  fill();
}

TestSpecT test_to_shrink(const TestSpecT& recorded) {
  TestSpecT spec(recorded);
  if (!spec.base_name.empty()) spec.name = spec.base_name;
  spec.matrix.clear();
  spec.base_name.clear();
  spec.expect_err = false;
  spec.expect_scx_bpf_error_contains.clear();
  spec.expect_scx_bpf_error_matches.clear();
  spec.min_cpus = spec.max_cpus = spec.min_llcs = spec.max_llcs = spec.min_numa_nodes = spec.max_numa_nodes =
      0;
  spec.auto_repro = false;
  return spec;
}

bool spec_is_valid(const TestSpecT& spec) {
  auto tests = parse_tests(spec_text(spec), "minimal.toml", {});
  return tests && tests->size() == 1 && tests->front().skip.empty();
}

}  // namespace ktstr
