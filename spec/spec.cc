// RawSpec to tests: the three layers are merged, then everything that takes more than one value to judge is
// checked.
#include "spec/spec.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/unique_fd.h"
#include "base/wording.h"
#include "schemas/guest_paths.h"
#include "schemas/spec_generated.h"
#include "scx/error_pin.h"
#include "spec/spec_resolve.h"

namespace ktstr {
namespace {

constexpr size_t kMaxNameBytes = 100;  // a test's name becomes a folder's name
constexpr std::string_view kNoScheduler = "none";
constexpr uint32_t kMemoryMbOfVm = 128, kMemoryMbOfCpu = 24;

bool is_name_char(char c, std::string_view extra) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         extra.find(c) != std::string_view::npos;
}

}  // namespace

bool good_name(std::string_view name, std::string_view extra) {
  return !name.empty() && name.size() <= kMaxNameBytes && name[0] != '-' && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_name_char(c, extra); });
}

namespace {

class Resolver {
 public:
  Resolver(const RawSpec& raw, const std::string& path, const SpecOptions& options, SpecErrors& errors)
      : raw_(raw), path_(path), options_(options), errors_(errors) {}

  std::vector<LoadedTest> resolve() {
    for (const auto& [name, block] : raw_.schedulers) check_scheduler(name, block);
    if (raw_.default_scheduler) find_scheduler(*raw_.default_scheduler);
    std::vector<LoadedTest> tests;
    if (options_.sweep_s > 0) return sweep();
    std::map<std::string, unsigned> lines;
    for (const RawTest& raw : raw_.tests) {
      if (raw.name && !raw.name->value.empty()) {
        auto [first, is_new] = lines.emplace(raw.name->value, raw.name->line);
        if (!is_new)
          errors_.add(
              raw.name->line,
              "test " + in_quotes(raw.name->value) + " is already in line " + std::to_string(first->second),
              "give each test a name of its own");
      }
      for (const RawTest& cell : expand_matrix(raw, errors_)) {
        LoadedTest test = resolve_test(cell);
        if (options_.topologies.empty()) tests.push_back(std::move(test));
        for (const NamedTopology& topology : options_.topologies) tests.push_back(resolve_on(cell, topology));
      }
    }
    if (tests.empty() && errors_.empty()) errors_.add(0, "no [[test]] in it", "a spec needs one at least");
    return tests;
  }

 private:
  void check_scheduler(const std::string& name, const RawScheduler& block) {
    if (name == kNoScheduler)
      errors_.add(block.line, "scheduler name \"none\" means the kernel's own scheduler",
                  "choose another name");
    else if (!good_name(name))
      errors_.add(block.line, "scheduler name " + in_quotes(name) + " is no good name",
                  "use letters, digits, '_' and '-', not '-' first, 100 at most");
    if (!block.binary)
      errors_.add(block.line, "scheduler " + in_quotes(name) + " has no binary",
                  "add binary = \"scx_…\", a path or a name");
    else if (block.binary->value.empty() || block.binary->value.back() == '/')
      errors_.add(block.binary->line, "binary = " + in_quotes(block.binary->value) + " names no file");
  }

  const RawScheduler* find_scheduler(const Located<std::string>& name) {
    if (name.value == kNoScheduler) return nullptr;
    auto found = raw_.schedulers.find(name.value);
    if (found != raw_.schedulers.end()) return &found->second;
    if (!unknown_told_.insert(name.line).second) return nullptr;
    std::vector<std::string> known;
    for (const auto& [other, block] : raw_.schedulers) known.push_back(other);
    std::string near = closest(name.value, known);
    errors_.add(name.line, "unknown scheduler " + in_quotes(name.value),
                near.empty() ? "add a block [scheduler." + (good_name(name.value) ? name.value : "NAME") + "]"
                             : "did you mean \"" + near + "\"?");
    return nullptr;
  }

  std::unique_ptr<SchedulerSpecT> make_scheduler(const std::string& name, const RawScheduler& block) {
    auto scheduler = std::make_unique<SchedulerSpecT>();
    scheduler->name = name;
    if (!block.binary || block.binary->value.empty()) return scheduler;
    scheduler->binary = block.binary->value;
    std::string beside = path_;
    const std::string variable = scheduler_variable(name);
    if (const std::string chosen = options_.environment ? options_.environment(variable) : "";
        !chosen.empty()) {
      scheduler->binary = chosen;
      scheduler->chosen_by = variable;
      beside.clear();  // a path is relative to the current folder
    }
    scheduler->guest_path = kGuestSchedulers + std::filesystem::path(scheduler->binary).filename().string();
    if (!options_.binaries) return scheduler;
    auto [at, is_new] = found_.try_emplace(name);
    if (is_new) {
      auto path = options_.binaries->find(scheduler->binary, beside);
      if (path)
        at->second = *path;
      else
        errors_.add(
            block.binary->line,
            (scheduler->chosen_by.empty() ? "" : scheduler->chosen_by + ": ") + path.error().message(),
            path.error().hint());
    }
    scheduler->host_path = at->second;
    return scheduler;
  }

  // One test for each scheduler and topology.
  std::vector<LoadedTest> sweep() {
    std::vector<LoadedTest> tests;
    if (raw_.schedulers.empty() && errors_.empty())
      errors_.add(0, "no [scheduler.NAME] in it",
                  "a sweep needs one at least; it takes no tests from the file");
    for (const auto& [name, block] : raw_.schedulers) {
      RawTest raw;
      raw.line = block.line;
      raw.name = {name, block.line};
      raw.scheduler = {name, block.line};
      // Over what the file says of its own tests: a sweep judges all schedulers alike.
      raw.attributes = {{"duration_s", {options_.sweep_s, block.line}},
                        {"auto_repro", {false, block.line}},
                        {"not_starved", {true, block.line}},
                        {"expect_err", {false, block.line}}};
      resolve_test(raw);  // the block's own mistakes, once
      for (const NamedTopology& topology : options_.topologies) {
        raw.cgroups.clear();
        for (unsigned cpu = 0; cpu < topology.cpus(); ++cpu) {
          RawTable& group = raw.cgroups.emplace_back();
          group.line = block.line;
          group.values = {{"name", {"cpu" + std::to_string(cpu), block.line}},
                          {"workers", {int64_t{1}, block.line}},
                          {"work", {std::string("CpuSpin"), block.line}},
                          {"cpuset", {std::to_string(cpu), block.line}}};
        }
        tests.push_back(resolve_on(raw, topology));
      }
    }
    return tests;
  }

  // What the test asks for may not exist on that topology (a cpuset, an LLC): it is skipped there, with the reason.
  LoadedTest resolve_on(RawTest cell, const NamedTopology& topology) {
    const std::pair<const char*, unsigned> numbers[] = {{"numa_nodes", topology.numa_nodes},
                                                        {"llcs", topology.llcs},
                                                        {"cores", topology.cores},
                                                        {"threads", topology.threads}};
    for (const auto& [name, number] : numbers)
      cell.attributes[name] = {static_cast<int64_t>(number), cell.line};
    cell.cell += (cell.cell.empty() ? "" : ",") + ("topology=" + topology.name());
    SpecErrors misfits(path_);
    LoadedTest test = Resolver(raw_, path_, options_, misfits).resolve_test(cell);
    if (!misfits.empty()) test.skip = "does not fit topology " + topology.name() + ": " + misfits.first();
    return test;
  }

  // "wants 8 CPUs or more, the VM has 4"; empty: the topology is within the test's bounds.
  static std::string beyond_bounds(const TestSpecT& spec) {
    const struct {
      uint32_t least, most, has;
      const char* what;  // one of them
    } rows[] = {{spec.min_cpus, spec.max_cpus, vcpus(spec), "CPU"},
                {spec.min_llcs, spec.max_llcs, spec.topology->llcs, "LLC"},
                {spec.min_numa_nodes, spec.max_numa_nodes, spec.topology->numa_nodes, "NUMA node"}};
    for (const auto& row : rows) {
      const bool few = row.has < row.least, many = row.most != 0 && row.has > row.most;
      if (few || many)
        return "wants " + count_of(few ? row.least : row.most, row.what) + (few ? " or more" : " or fewer") +
               ", the VM has " + std::to_string(row.has);
    }
    return "";
  }

  LoadedTest resolve_test(const RawTest& raw) {
    LoadedTest test;
    test.spec = default_test();
    TestSpecT& spec = test.spec;
    spec.file = path_;
    spec.line = raw.line;
    if (!raw.name) {
      errors_.add(raw.line, "[[test]] has no name", "add name = \"…\"");
    } else if (raw.name->line != 0) {
      spec.name = raw.name->value;
      if (!good_name(spec.name, "."))
        errors_.add(raw.name->line, "test name " + in_quotes(spec.name) + " is no good name",
                    "use letters, digits, '_', '-' and '.', neither '-' nor '.' first, 100 at most");
      spec.base_name = spec.name;
      spec.matrix = raw.cell;
      if (!raw.cell.empty()) spec.name += "[" + raw.cell + "]";
    }

    const Located<std::string>* wanted = raw.scheduler            ? &*raw.scheduler
                                         : raw_.default_scheduler ? &*raw_.default_scheduler
                                                                  : nullptr;
    const RawScheduler* block = wanted ? find_scheduler(*wanted) : nullptr;
    if (block) spec.scheduler = make_scheduler(wanted->value, *block);

    lines_.clear();
    const SpecValue* workers = merge(raw, block, test);
    check_topology(spec, raw.line);
    grow_memory(test);
    ResolveContext context{.errors = errors_,
                           .options = options_,
                           .path = path_,
                           .per_group = workers ? static_cast<unsigned>(std::get<int64_t>(*workers)) : 1};
    resolve_payloads(raw, context, spec);
    resolve_start(raw, merged_, block ? block->args : std::vector<std::string>(), context, spec);
    resolve_cgroups(raw, context, spec);
    if (raw.cgroups.empty() && raw.attributes.contains("workers_per_cgroup"))
      errors_.add(line_of("workers_per_cgroup", raw.line),
                  "workers_per_cgroup is set, but the test has no cgroup", "add a [[test.cgroup]]");
    resolve_steps(raw, context, spec);
    resolve_map_writes(raw, spec);
    check_pins(raw, wanted, spec);
    check_probes(spec);
    test.skip = beyond_bounds(spec);
    return test;
  }

  // Applies each attribute's winning layer; returns workers_per_cgroup, or null.
  const SpecValue* merge(const RawTest& raw, const RawScheduler* block, LoadedTest& test) {
    const SpecValue* workers = nullptr;
    merged_.clear();
    for (const Attribute& attribute : test_attributes()) {
      Setting setting{.name = std::string(attribute.name)};
      const Located<SpecValue>* winner = nullptr;
      auto take = [&](const RawLayer& layer, Layer which) {
        auto found = layer.find(attribute.name);
        if (found == layer.end()) return;
        Located<SpecValue>& all = merged_[setting.name];
        all = {merged(winner ? &all.value : nullptr, found->second.value), found->second.line};
        winner = &all;
        setting.layer = which;
        setting.line = winner->line;
      };
      take(raw_.defaults, Layer::kDefault);
      if (block) take(block->attributes, Layer::kScheduler);
      take(raw.attributes, Layer::kTest);
      if (winner) {
        if (attribute.name == "kernel" && std::get<std::string>(winner->value).empty())
          errors_.add(winner->line, "kernel = \"\" names no kernel", "leave it out: the run's is taken");
        set_attribute(test.spec, attribute, winner->value);
        setting.value = to_toml(winner->value);
        lines_[setting.name] = winner->line;
        if (attribute.name == "workers_per_cgroup") workers = &winner->value;
      } else if (auto built_in = get_attribute(test.spec, attribute)) {
        setting.value = to_toml(*built_in);
      } else if (attribute.name == "workers_per_cgroup") {
        setting.value = "1";
      }
      test.settings.push_back(std::move(setting));
    }
    return workers;
  }

  // Lists are appended, tables merged by key; of all else the later one counts.
  static SpecValue merged(const SpecValue* before, const SpecValue& value) {
    if (!before) return value;
    if (const auto* texts = std::get_if<SpecTexts>(&value)) {
      SpecTexts all = std::get<SpecTexts>(*before);
      all.insert(all.end(), texts->begin(), texts->end());
      return all;
    }
    if (const auto* pairs = std::get_if<SpecPairs>(&value)) {
      SpecPairs all = std::get<SpecPairs>(*before);
      for (const auto& [key, text] : *pairs) all[key] = text;
      return all;
    }
    return value;
  }

  // `memory_mb` is a floor: per-CPU data of a VM with many CPUs takes more.
  static void grow_memory(LoadedTest& test) {
    const uint32_t least = kMemoryMbOfVm + kMemoryMbOfCpu * vcpus(test.spec);
    if (test.spec.memory_mb >= least) return;
    test.spec.memory_mb = least;
    for (Setting& setting : test.settings)
      if (setting.name == "memory_mb") setting.value = std::to_string(least);
  }

  // The line to blame for an attribute: where it was set, else the test's own.
  unsigned line_of(const std::string& attribute, unsigned otherwise) const {
    auto found = lines_.find(attribute);
    return found == lines_.end() ? otherwise : found->second;
  }

  static unsigned vcpus(const TestSpecT& spec) {
    return spec.topology->llcs * spec.topology->cores * spec.topology->threads;  // each is 255 at most
  }

  void check_topology(const TestSpecT& spec, unsigned line) {
    const TopologyT& topology = *spec.topology;
    if (topology.llcs % topology.numa_nodes != 0)
      errors_.add(line_of("llcs", line_of("numa_nodes", line)),
                  "llcs = " + std::to_string(topology.llcs) +
                      " is no multiple of numa_nodes = " + std::to_string(topology.numa_nodes),
                  "each NUMA node holds the same number of LLCs");
    if (unsigned cpus = vcpus(spec); cpus > kMaxVcpus)
      errors_.add(line_of("cores", line_of("llcs", line)),
                  "llcs * cores * threads = " + std::to_string(cpus) + " CPUs",
                  "a VM has " + std::to_string(kMaxVcpus) + " at most");
  }

  void resolve_map_writes(const RawTest& raw, TestSpecT& spec) {
    for (const RawTable& table : raw.map_writes) {
      auto write = std::make_unique<MapWriteT>();
      write->line = table.line;
      auto text = [&](std::string_view name, bool required) -> std::string {
        auto found = table.values.find(name);
        if (found == table.values.end()) {
          if (required)
            errors_.add(table.line, "[[test.bpf_map_write]] has no " + std::string(name),
                        "add " + std::string(name) + " = …");
          return "";
        }
        std::string value = scalar_text(found->second.value);
        if (value.empty()) errors_.add(found->second.line, std::string(name) + " = \"\" says nothing");
        return value;
      };
      write->map = text("map", true);
      write->field = text("field", false);
      write->key = text("key", false);
      write->value = text("value", true);
      if (auto at = table.values.find("at_s"); at != table.values.end()) {
        write->at_ns = static_cast<uint64_t>(std::llround(as_number(at->second.value) * 1e9));
        if (write->at_ns >= spec.duration_ns)
          errors_.add(at->second.line,
                      "at_s = " + to_toml(at->second.value) + " is not before the workload's end",
                      "duration_s is " + to_toml(static_cast<double>(spec.duration_ns) / 1e9));
      }
      if (!spec.scheduler)
        errors_.add(table.line, "[[test.bpf_map_write]] in a test without a scheduler: there are no maps",
                    "add scheduler = \"…\"");
      spec.bpf_map_write.push_back(std::move(write));
    }
  }

  void check_probes(const TestSpecT& spec) {
    const std::string& wanted = spec.repro_probes;
    auto set = lines_.find("repro_probes");
    if (set != lines_.end() && wanted != "light" && wanted != "full")
      errors_.add(set->second, "repro_probes = " + in_quotes(wanted) + " is not known",
                  "\"light\" or \"full\"");
  }

  void check_pins(const RawTest& raw, const Located<std::string>* scheduler, const TestSpecT& spec) {
    check_pin("expect_scx_bpf_error_contains", raw, spec,
              [](std::string_view t) { return check_pin_contains(t); });
    check_pin("expect_scx_bpf_error_matches", raw, spec,
              [](std::string_view t) { return check_pin_matches(t); });
    if (spec.expect_err && (!scheduler || scheduler->value == kNoScheduler))
      errors_.add(line_of("expect_err", raw.line),
                  "expect_err = true, but the test runs no scheduler that could fail",
                  "add scheduler = \"…\"");
  }

  template <typename Check>
  void check_pin(const std::string& attribute, const RawTest& raw, const TestSpecT& spec, Check check) {
    auto set = lines_.find(attribute);
    if (set == lines_.end()) return;
    const std::string& pattern = attribute.ends_with("contains") ? spec.expect_scx_bpf_error_contains
                                                                 : spec.expect_scx_bpf_error_matches;
    // A pin in [default] is judged once, not for each test.
    if (pins_told_.insert(set->second).second) {
      if (Status status = check(pattern); !status)
        errors_.add(set->second, status.error().message(), status.error().hint());
    }
    if (!spec.expect_err)
      errors_.add(line_of("expect_err", set->second == 0 ? raw.line : set->second),
                  attribute + " without expect_err = true" +
                      (spec.name.empty() ? "" : " in test " + in_quotes(spec.name)),
                  "a pin says which failure is the expected one; add expect_err = true");
  }

  const RawSpec& raw_;
  const std::string& path_;
  const SpecOptions& options_;
  SpecErrors& errors_;
  std::map<std::string, unsigned> lines_;     // of the attributes set for the test at hand
  MergedLayer merged_;                        // of the test at hand
  std::map<std::string, std::string> found_;  // scheduler -> path of its binary, "" when not found
  std::set<unsigned> unknown_told_;           // lines of `scheduler =` already reported
  std::set<unsigned> pins_told_;              // lines of pins already judged
};

Result<std::string> read_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return Error::from_errno(path);
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return Error::from_errno(path);
  if (S_ISDIR(info.st_mode))
    return Error::invalid(path + ": a folder, not a spec file").with_hint("name a .toml file");
  std::string text;
  char buffer[65536];
  while (true) {
    ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(path);
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kMaxSpecBytes)
      return Error::invalid(path + ": larger than " + std::to_string(kMaxSpecBytes >> 10) +
                            " KiB, surely not a spec")
          .with_hint("name a .toml file");
  }
}

}  // namespace

Result<std::vector<LoadedTest>> parse_tests(std::string_view text, const std::string& path,
                                            const SpecOptions& options) {
  SpecErrors errors(path);
  if (text.find('\0') != std::string_view::npos) {
    errors.add(0, "a binary file, not a spec", "name a .toml file");
    return errors.to_error();
  }
  RawSpec raw = read_toml(text, path, errors);
  // Values of a file with errors are checked all the same, so that one run shows everything.
  std::vector<LoadedTest> tests = Resolver(raw, path, options, errors).resolve();
  if (!errors.empty()) return errors.to_error();
  return tests;
}

Result<std::vector<LoadedTest>> load_tests(const std::string& path, const SpecOptions& options) {
  auto text = read_file(path);
  if (!text) return std::move(text).error();
  return parse_tests(*text, path, options);
}

Result<std::vector<TestSpecT>> load_spec(const std::string& path, const SpecOptions& options) {
  auto tests = load_tests(path, options);
  if (!tests) return std::move(tests).error();
  std::vector<TestSpecT> specs;
  for (LoadedTest& test : *tests) specs.push_back(std::move(test.spec));
  return specs;
}

std::string scheduler_variable(std::string_view scheduler) {
  std::string out = "KTSTR_SCHEDULER_";
  for (char c : scheduler) {
    const bool lower = c >= 'a' && c <= 'z', other = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    out += lower ? static_cast<char>(c - 'a' + 'A') : other ? c : '_';
  }
  return out;
}

std::string origin_text(const Setting& setting, const TestSpecT& test) {
  std::string at = test.file + ":" + std::to_string(setting.line);
  switch (setting.layer) {
    case Layer::kBuiltIn:
      return "built in";
    case Layer::kDefault:
      return at + " [default]";
    case Layer::kScheduler:
      return at + " [scheduler." + (test.scheduler ? test.scheduler->name : "") + "]";
    case Layer::kTest:
      return at + " [[test]]";
  }
  return "";
}

}  // namespace ktstr
