#include "guest/probe/probe_object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "bpf/hits.h"
#include "bpf/read_plan.h"
#include "guest/probe/bpf_options.h"
#include "schemas/probe_generated.h"
#include "scx/constants.h"

extern "C" const char ktstr_probe_object[];
extern "C" const char ktstr_probe_object_end[];

namespace ktstr::probe {
namespace {

constexpr size_t kRingBudget = 24u << 20;  // bytes for all rings
constexpr uint32_t kSubjects = 2048;

uint32_t ring_slots(uint32_t cpus) {
  uint32_t slots = 1024;
  while (slots > 64 && size_t{slots} * cpus * sizeof(ktstr_hit) > kRingBudget) slots /= 2;
  return slots;
}

// The verifier's last line before its statistics.
std::string last_words(const std::vector<char>& log) {
  std::string text(log.data(), ::strnlen(log.data(), log.size()));
  if (size_t stats = text.rfind("processed "); stats != std::string::npos) text.resize(stats);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t line = text.rfind('\n');
  return text.empty() ? "" : ": " + text.substr(line == std::string::npos ? 0 : line + 1);
}

// Maps a whole map. The mapping lives as long as the program.
template <typename T>
const T* map_whole(int fd, size_t count) {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t bytes = (count * sizeof(T) + page - 1) / page * page;
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return p == MAP_FAILED ? nullptr : static_cast<const T*>(p);
}

}  // namespace

int ProbeObject::map_fd(const char* name) const { return bpf_object__find_map_fd_by_name(object_, name); }

bpf_program* ProbeObject::program(const char* name) const {
  return bpf_object__find_program_by_name(object_, name);
}

Status ProbeObject::load(const Parts& parts) {
  auto how = bpf_options<bpf_object_open_opts>();
  how.object_name = "ktstr_probe";
  std::vector<char> log(1 << 18);
  how.kernel_log_buf = log.data();
  how.kernel_log_size = log.size();
  const size_t size = static_cast<size_t>(ktstr_probe_object_end - ktstr_probe_object);
  object_ = bpf_object__open_mem(ktstr_probe_object, size, &how);
  if (!object_) return Error::from_errno("open the probe object");
  cpus_ = static_cast<uint32_t>(std::max(1, libbpf_num_possible_cpus()));
  slots_ = ring_slots(cpus_);
  auto resize = [&](const char* name, uint32_t n) {
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object_, name), n);
  };
  resize("hits", cpus_ * slots_ + KTSTR_TAIL_HITS);
  resize("heads", cpus_);
  if (plan_.keep_by_task) resize("subjects", kSubjects);
  size_t bytes = 0;
  auto* config = static_cast<ktstr_config*>(
      bpf_map__initial_value(bpf_object__find_map_by_name(object_, ".rodata.config"), &bytes));
  if (!config || bytes < sizeof(*config)) return Error::invalid("probe object: no config");
  const auto& ladder = plan_.trigger_ladder;
  const bool any_exit = std::find(ladder.begin(), ladder.end(), kAnyExit) != ladder.end();
  *config = {slots_,
             cpus_,
             plan_.keep_by_task,
             plan_.history > 1 || plan_.keep_by_task,
             static_cast<uint32_t>(any_exit ? kScxExitUnreg : kScxExitError),
             0};
  auto wanted = [&](auto is) { return std::any_of(plan_.targets.begin(), plan_.targets.end(), is); };
  const bool kernel = wanted([](const auto& t) { return t->kind == ProbeKind::Kprobe; });
  const bool returns = wanted([](const auto& t) { return t->kind == ProbeKind::Kprobe && t->want_return; });
  const bool fault = std::any_of(plan_.trigger_ladder.begin(), plan_.trigger_ladder.end(),
                                 [](const auto& step) { return step.ends_with(kFaultMark); });
  const std::pair<const char*, bool> programs[] = {{"on_exit_event", parts.event_trigger},
                                                   {"on_exit_function", !parts.event_trigger},
                                                   {"on_fault", fault},
                                                   {"on_kernel_multi", kernel && !parts.singles},
                                                   {"on_kernel_single", kernel && parts.singles},
                                                   {"on_return_multi", returns && !parts.singles},
                                                   {"on_return_single", returns && parts.singles}};
  for (const auto& [name, load] : programs) bpf_program__set_autoload(program(name), load);
  if (int err = bpf_object__load(object_); err != 0) {
    bpf_object__close(object_);
    object_ = nullptr;
    return Error::unsupported("load the probe programs: " + std::string(std::strerror(-err)) +
                              last_words(log));
  }
  bpf_prog_info info{};
  uint32_t length = sizeof(info);
  const int model = bpf_program__fd(program("on_fentry"));
  if (bpf_prog_get_info_by_fd(model, &info, &length) != 0) return Error::from_errno("probe model");
  types_ = UniqueFd(bpf_btf_get_fd_by_id(info.btf_id));
  return write_targets();
}

Status ProbeObject::write_targets() {
  ktstr_state state{};
  state.seal = KTSTR_STATE_SEAL;
  const uint32_t first = 0;
  if (bpf_map_update_elem(map_fd("state"), &first, &state, BPF_ANY) != 0)
    return Error::from_errno("seal the probes' state");
  const int fd = map_fd("targets");
  for (uint32_t i = 0; i < plan_.targets.size(); ++i) {
    const ProbeTargetT& t = *plan_.targets[i];
    ktstr_target r{};
    r.kind = t.kind == ProbeKind::Callback  ? KTSTR_CALLBACK
             : t.kind == ProbeKind::Subprog ? KTSTR_SUBPROG
                                            : KTSTR_KPROBE;
    r.nargs = t.nargs;
    r.subject = t.subject_arg;
    r.wants_exit = t.want_return;
    r.wants_caller = t.want_caller;
    const ReadPlan plan = plan_reads(t);
    r.nreads = static_cast<ktstr_u32>(plan.reads.size());
    ktstr_reads reads{};
    std::copy(plan.reads.begin(), plan.reads.end(), reads.reads);
    if (bpf_map_update_elem(fd, &i, &r, BPF_ANY) != 0 ||
        bpf_map_update_elem(map_fd("reads"), &i, &reads, BPF_ANY) != 0)
      return Error::from_errno("write target " + t.function);
  }
  return {};
}

Capture ProbeObject::capture(const std::vector<int>& clones) {
  Capture c;
  auto* state = map_whole<ktstr_state>(map_fd("state"), 1);
  auto* heads = map_whole<ktstr_head>(map_fd("heads"), cpus_);
  auto* hits = map_whole<ktstr_hit>(map_fd("hits"), size_t{cpus_} * slots_ + KTSTR_TAIL_HITS);
  if (!state || !heads || !hits) return c;
  if (!state->complete) const_cast<ktstr_state*>(state)->frozen = 1;
  c.state = *state;
  uint64_t timed = 0, timed_ns = 0;
  for (uint32_t cpu = 0; cpu < cpus_; ++cpu) {
    timed += heads[cpu].timed;
    timed_ns += heads[cpu].timed_ns;
    c.taken += heads[cpu].taken;
    if (heads[cpu].taken > slots_) c.overwritten += heads[cpu].taken - slots_;
  }
  const size_t tail = std::min<size_t>(c.state.tail, KTSTR_TAIL_HITS);
  // Put in order where they lie: to move a kilobyte for each comparison takes an emulated CPU a tenth of a second.
  std::vector<const ktstr_hit*> in_order;
  for (size_t i = 0; i < size_t{cpus_} * slots_ + tail; ++i)
    if (hits[i].ns != 0 && hits[i].target < plan_.targets.size()) in_order.push_back(&hits[i]);
  std::stable_sort(in_order.begin(), in_order.end(),
                   [](const auto* a, const auto* b) { return a->ns < b->ns; });
  c.hits.reserve(in_order.size());
  for (const ktstr_hit* hit : in_order) c.hits.push_back(*hit);
  c.taken += tail;

  if (plan_.keep_by_task) {
    ktstr_subject_key key{}, next{};
    ktstr_hit hit;
    const int fd = map_fd("subjects");
    for (int err = bpf_map_get_next_key(fd, nullptr, &next); err == 0 && c.subjects.size() < kSubjects;
         err = bpf_map_get_next_key(fd, &key, &next)) {
      if (bpf_map_lookup_elem(fd, &next, &hit) == 0 && hit.target < plan_.targets.size())
        c.subjects.push_back(hit);
      key = next;
    }
  }

  auto count = [&](int fd) {
    bpf_prog_info info{};
    uint32_t length = sizeof(info);
    if (bpf_prog_get_info_by_fd(fd, &info, &length) == 0) c.missed += info.recursion_misses;
  };
  for (const char* name : {"on_kernel_multi", "on_kernel_single", "on_return_multi", "on_return_single"})
    if (bpf_program__autoload(program(name))) count(bpf_program__fd(program(name)));
  for (int fd : clones) count(fd);
  c.cost_ns = timed ? timed_ns / timed : 0;
  return c;
}

}  // namespace ktstr::probe
