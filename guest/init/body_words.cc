#include "guest/init/body_words.h"

#include "base/json.h"
#include "schemas/guest_generated.h"

namespace ktstr::guest {
namespace {

constexpr size_t kMaxName = 100, kMaxCpus = 1024;

uint64_t number(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

int signed_number(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? static_cast<int>(found->get<int64_t>()) : 0;
}

std::vector<uint16_t> cpus(const Json& object, const char* key) {
  std::vector<uint16_t> list;
  auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return list;
  for (const Json& cpu : *found)
    if (cpu.is_number_unsigned() && cpu.get<uint64_t>() < kMaxCpus && list.size() < kMaxCpus)
      list.push_back(static_cast<uint16_t>(cpu.get<uint64_t>()));
  return list;
}

}  // namespace

std::optional<std::string> parse_body_phase(std::string_view line) {
  if (!line.starts_with("{\"phase\"")) return std::nullopt;
  Json whole = parse_json(line);
  if (!whole.is_object()) return std::nullopt;
  auto name = whole.find("phase");
  if (name == whole.end() || !name->is_string() || name->get_ref<const std::string&>().empty())
    return std::nullopt;
  return name->get<std::string>().substr(0, kMaxName);
}

std::optional<WorkerReportT> parse_body_worker(std::string_view line) {
  if (!line.starts_with("{\"worker\"")) return std::nullopt;
  Json whole = parse_json(line);
  auto worker = whole.is_object() ? whole.find("worker") : whole.end();
  if (!whole.is_object() || worker == whole.end() || !worker->is_object()) return std::nullopt;
  auto group = worker->find("cgroup");
  if (group == worker->end() || !group->is_string()) return std::nullopt;
  WorkerReportT r;
  r.cgroup = group->get<std::string>().substr(0, kMaxName);
  r.index = static_cast<uint32_t>(number(*worker, "index"));
  r.pid = static_cast<uint32_t>(number(*worker, "pid"));
  r.work = WorkType::Custom;
  for (WorkType type : EnumValuesWorkType())
    if (auto name = worker->find("work");
        name != worker->end() && name->is_string() && *name == EnumNameWorkType(type))
      r.work = type;
  r.iterations = number(*worker, "iterations");
  r.cpus = cpus(*worker, "cpus");
  r.outside_cpus = cpus(*worker, "outside_cpus");
  r.wall_ns = number(*worker, "wall_ns");
  r.run_ns = number(*worker, "run_ns");
  r.wait_ns = number(*worker, "wait_ns");
  r.longest_gap_ns = number(*worker, "longest_gap_ns");
  r.gap_at_ns = number(*worker, "gap_at_ns");
  r.gap_cpu = signed_number(*worker, "gap_cpu");
  r.migrations = number(*worker, "migrations");
  r.wakeups = number(*worker, "wakeups");
  r.wake_p50_ns = number(*worker, "wake_p50_ns");
  r.wake_p99_ns = number(*worker, "wake_p99_ns");
  r.wake_max_ns = number(*worker, "wake_max_ns");
  r.wake_mean_ns = number(*worker, "wake_mean_ns");
  r.wake_stddev_ns = number(*worker, "wake_stddev_ns");
  if (auto cpuset = worker->find("cpuset"); cpuset != worker->end() && cpuset->is_string())
    r.cpuset = cpuset->get<std::string>().substr(0, 1024);
  r.exit_code = signed_number(*worker, "exit_code");
  if (auto killed = worker->find("killed"); killed != worker->end() && killed->is_boolean())
    r.killed = killed->get<bool>();
  return r;
}

}  // namespace ktstr::guest
