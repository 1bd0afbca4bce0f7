#include "reproer/guest/probe_set.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "reproer/guest/hits.h"
#include "reproer/guest/traceable.h"

extern "C" const char ktstr_probe_object[];
extern "C" const char ktstr_probe_object_end[];

namespace ktstr::probe {
namespace {

constexpr char kTracefs[] = "/sys/kernel/tracing";
constexpr size_t kRingBudget = 24u << 20;  // bytes for all rings
constexpr uint32_t kSubjects = 2048;

uint32_t ring_slots(uint32_t cpus) {
  uint32_t slots = 1024;
  while (slots > 64 && size_t{slots} * cpus * sizeof(ktstr_hit) > kRingBudget) slots /= 2;
  return slots;
}

ktstr_value to_record(const ValueSpecT& v, uint16_t at) {
  ktstr_value r{};
  r.arg = v.arg == 255 ? KTSTR_RETURN : v.arg;
  r.hops = static_cast<uint8_t>(v.offsets.size());
  r.string = v.format == ValueFormat::CString;
  r.size =
      static_cast<uint8_t>(std::clamp<uint32_t>(r.string ? KTSTR_VALUE_BYTES : v.size, 1, KTSTR_VALUE_BYTES));
  r.at = at;
  std::copy(v.offsets.begin(), v.offsets.end(), r.offsets);
  return r;
}

// libbpf's option structs say their own size.
template <typename T>
T options() {
  T o;
  std::memset(&o, 0, sizeof(o));
  o.sz = sizeof(o);
  return o;
}

// The verifier's last line before its statistics.
std::string last_words(const std::vector<char>& log) {
  std::string text(log.data(), ::strnlen(log.data(), log.size()));
  if (size_t stats = text.rfind("processed "); stats != std::string::npos) text.resize(stats);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t line = text.rfind('\n');
  return text.empty() ? "" : ": " + text.substr(line == std::string::npos ? 0 : line + 1);
}

// The kernel tells where functions stand in the rewritten program; the clone needs their places in the
// original one. Those but the first are callbacks, referred to by a load of their relative address.
void place_functions(const bpf_insn* insns, size_t count, bpf_func_info* functions, uint32_t n) {
  std::vector<uint32_t> starts{0};
  for (size_t i = 0; i + 1 < count; ++i) {
    if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW)) continue;
    if (insns[i].src_reg == BPF_PSEUDO_FUNC)
      starts.push_back(static_cast<uint32_t>(static_cast<int64_t>(i) + insns[i].imm + 1));
    ++i;  // takes two slots
  }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  for (uint32_t i = 0; i < n && i < starts.size(); ++i) functions[i].insn_off = starts[i];
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

ProbeSet::~ProbeSet() = default;  // on purpose nothing is closed: the VM ends with the probes in place

int ProbeSet::map_fd(const char* name) const { return bpf_object__find_map_fd_by_name(object_, name); }

void ProbeSet::fail(uint32_t target, std::string reason) {
  if (target < failed_.size() && failed_[target].empty()) failed_[target] = std::move(reason);
}

Result<std::unique_ptr<ProbeSet>> ProbeSet::load(const ProbePlanT& plan) {
  if (plan.targets.size() > KTSTR_MAX_TARGETS)
    return Error::exhausted("probe plan: more than " + std::to_string(KTSTR_MAX_TARGETS) + " targets");
  std::unique_ptr<ProbeSet> set(new ProbeSet(plan));
  set->attached_.resize(plan.targets.size());
  set->failed_.resize(plan.targets.size());
  const bool event =
      ::access((std::string(kTracefs) + "/events/sched_ext/sched_ext_exit").c_str(), F_OK) == 0;
  Status status = set->open(event);
  if (!status && event) status = set->open(false);
  if (!status) return status.error();
  if (Status s = set->write_targets(); !s) return s.error();
  return set;
}

Status ProbeSet::open(bool with_event_trigger) {
  auto how = options<bpf_object_open_opts>();
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
  *config = {slots_, cpus_, plan_.keep_by_task, 0};
  bpf_program__set_autoload(bpf_object__find_program_by_name(object_, "on_exit_event"), with_event_trigger);
  if (int err = bpf_object__load(object_); err != 0) {
    bpf_object__close(object_);
    object_ = nullptr;
    return Error::unsupported("load the probe programs: " + std::string(std::strerror(-err)) +
                              last_words(log));
  }
  bpf_prog_info info{};
  uint32_t length = sizeof(info);
  const int model = bpf_program__fd(bpf_object__find_program_by_name(object_, "on_fentry"));
  if (bpf_prog_get_info_by_fd(model, &info, &length) != 0) return Error::from_errno("probe model");
  model_types_ = UniqueFd(bpf_btf_get_fd_by_id(info.btf_id));
  return {};
}

Status ProbeSet::write_targets() {
  const int fd = map_fd("targets");
  for (uint32_t i = 0; i < plan_.targets.size(); ++i) {
    const ProbeTargetT& t = *plan_.targets[i];
    ktstr_target r{};
    r.kind = t.kind == ProbeKind::Callback  ? KTSTR_CALLBACK
             : t.kind == ProbeKind::Subprog ? KTSTR_SUBPROG
                                            : KTSTR_KPROBE;
    r.nargs = t.nargs;
    r.subject = t.subject_arg;
    uint32_t at = 0;
    for (const auto& v : t.values) {
      if (r.nvalues == KTSTR_MAX_VALUES || v->offsets.size() > KTSTR_MAX_HOPS ||
          at + value_bytes(*v) > KTSTR_DATA_BYTES)
        break;
      r.values[r.nvalues++] = to_record(*v, static_cast<uint16_t>(at));
      at += value_bytes(*v);
    }
    if (bpf_map_update_elem(fd, &i, &r, BPF_ANY) != 0) return Error::from_errno("write target " + t.function);
  }
  return {};
}

void ProbeSet::attach_kernel() {
  std::set<std::string> wanted;
  for (const auto& t : plan_.targets)
    if (t->kind == ProbeKind::Kprobe) wanted.insert(t->function);
  for (const auto& name : plan_.trigger_ladder) wanted.insert(name.substr(0, name.find('#')));
  auto traceable = read_traceable(std::string(kTracefs) + "/available_filter_functions", wanted);

  std::vector<const char*> symbols;
  std::vector<__u64> cookies;
  for (uint32_t i = 0; i < plan_.targets.size(); ++i) {
    const ProbeTargetT& t = *plan_.targets[i];
    if (t.kind != ProbeKind::Kprobe) continue;
    if (!traceable) {
      fail(i, traceable.error().message());
    } else if (!traceable->available.contains(t.function)) {
      fail(i, "not in available_filter_functions: inlined, or the kernel forbids tracing it");
    } else if (traceable->ambiguous.contains(t.function)) {
      fail(i, "several kernel functions have that name");
    } else {
      symbols.push_back(t.function.c_str());
      cookies.push_back(i);
    }
  }
  if (!symbols.empty()) {
    auto how = options<bpf_kprobe_multi_opts>();
    how.syms = symbols.data();
    how.cookies = cookies.data();
    how.cnt = symbols.size();
    bpf_link* link = bpf_program__attach_kprobe_multi_opts(
        bpf_object__find_program_by_name(object_, "on_kernel_multi"), nullptr, &how);
    if (link) {
      links_.push_back(link);
      for (__u64 i : cookies) attached_[i] = 1;
    } else {
      for (__u64 i : cookies) attach_single(*plan_.targets[i]);
    }
  }
  attach_trigger();
  if (!symbols.empty()) stats_ = UniqueFd(bpf_enable_stats(BPF_STATS_RUN_TIME));
}

void ProbeSet::attach_single(const ProbeTargetT& target) {
  auto how = options<bpf_kprobe_opts>();
  how.bpf_cookie = target.id;
  bpf_link* link = bpf_program__attach_kprobe_opts(
      bpf_object__find_program_by_name(object_, "on_kernel_single"), target.function.c_str(), &how);
  if (!link) return fail(target.id, std::string("kprobe refused: ") + std::strerror(errno));
  links_.push_back(link);
  attached_[target.id] = 1;
}

void ProbeSet::attach_trigger() {
  bpf_program* event = bpf_object__find_program_by_name(object_, "on_exit_event");
  if (bpf_program__autoload(event)) {
    if (bpf_link* link = bpf_program__attach(event)) {
      links_.push_back(link);
      trigger_ = "tp_btf/sched_ext_exit";
      return;
    }
  }
  for (const std::string& step : plan_.trigger_ladder) {
    const size_t mark = step.find('#');
    const std::string function = step.substr(0, mark);
    auto how = options<bpf_kprobe_opts>();
    how.bpf_cookie = mark != std::string::npos && step.substr(mark) == "#0" ? 0 : 1;
    bpf_link* link = bpf_program__attach_kprobe_opts(
        bpf_object__find_program_by_name(object_, "on_exit_function"), function.c_str(), &how);
    if (!link) continue;
    links_.push_back(link);
    trigger_ = "kprobe " + function;
    return;
  }
}

Status ProbeSet::attach_clone(const char* model, bool exit, int prog_fd, uint32_t btf_id, uint32_t target) {
  bpf_program* program = bpf_object__find_program_by_name(object_, model);
  // The model's function records: the verifier wants them for its bpf_loop callback.
  bpf_func_info functions[8] = {};
  bpf_prog_info info{};
  info.nr_func_info = std::size(functions);
  info.func_info_rec_size = sizeof(bpf_func_info);
  info.func_info = reinterpret_cast<uint64_t>(functions);
  uint32_t length = sizeof(info);
  if (bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &length) != 0)
    return Error::from_errno("probe model");
  const bpf_insn* insns = bpf_program__insns(program);
  const size_t count = bpf_program__insn_cnt(program);
  if (info.nr_func_info > std::size(functions)) return Error::invalid("probe model: too many functions");
  place_functions(insns, count, functions, info.nr_func_info);
  auto load = options<bpf_prog_load_opts>();
  load.prog_btf_fd = static_cast<uint32_t>(model_types_.get());
  load.func_info = functions;
  load.func_info_cnt = info.nr_func_info;
  load.func_info_rec_size = sizeof(bpf_func_info);
  load.expected_attach_type = exit ? BPF_TRACE_FEXIT : BPF_TRACE_FENTRY;
  load.attach_prog_fd = static_cast<uint32_t>(prog_fd);
  load.attach_btf_id = btf_id;
  const int clone = bpf_prog_load(BPF_PROG_TYPE_TRACING, model, "GPL", insns, count, &load);
  if (clone < 0) return Error::from_errno(exit ? "fexit refused" : "fentry refused");
  auto link = options<bpf_link_create_opts>();
  link.tracing.cookie = target;
  const int fd = bpf_link_create(clone, 0, load.expected_attach_type, &link);
  if (fd < 0) {
    Error e = Error::from_errno(exit ? "fexit not attached" : "fentry not attached");
    ::close(clone);
    return e;
  }
  clones_.push_back(clone);
  return {};
}

void ProbeSet::attach_program(int prog_fd, const ProgramFacts& facts) {
  for (uint32_t i = 0; i < plan_.targets.size(); ++i) {
    const ProbeTargetT& t = *plan_.targets[i];
    if (t.kind != ProbeKind::Callback && t.kind != ProbeKind::Subprog) continue;
    if (attached_[i] || (!t.program.empty() && t.program != facts.program.name)) continue;
    auto f = std::find_if(facts.program.functions.begin(), facts.program.functions.end(),
                          [&](const auto& x) { return x->name == t.function; });
    if (f == facts.program.functions.end()) continue;
    const uint32_t btf_id = (*f)->btf_type_id;
    if (Status s = attach_clone("on_fentry", false, prog_fd, btf_id, i); !s) {
      fail(i, s.error().message());
      continue;
    }
    attached_[i] = 1;
    if (t.want_return)
      if (Status s = attach_clone("on_fexit", true, prog_fd, btf_id, i); !s) fail(i, s.error().message());
  }
}

ProbeAttachedT ProbeSet::report() const {
  ProbeAttachedT r;
  r.trigger = trigger_;
  for (uint32_t i = 0; i < attached_.size(); ++i) {
    if (attached_[i]) r.attached.push_back(i);
    if (attached_[i] && failed_[i].empty()) continue;
    auto d = std::make_unique<DroppedFrameT>();
    d->function = plan_.targets[i]->function;
    d->reason = !failed_[i].empty() ? failed_[i] : "the scheduler has no such function";
    r.failed.push_back(std::move(d));
  }
  return r;
}

Capture ProbeSet::capture() {
  Capture c;
  auto* state = map_whole<ktstr_state>(map_fd("state"), 1);
  auto* heads = map_whole<ktstr_head>(map_fd("heads"), cpus_);
  auto* hits = map_whole<ktstr_hit>(map_fd("hits"), size_t{cpus_} * slots_ + KTSTR_TAIL_HITS);
  if (!state || !heads || !hits) return c;
  if (!state->complete) const_cast<ktstr_state*>(state)->frozen = 1;
  c.state = *state;
  for (uint32_t cpu = 0; cpu < cpus_; ++cpu) {
    c.taken += heads[cpu].taken;
    if (heads[cpu].taken > slots_) c.overwritten += heads[cpu].taken - slots_;
  }
  const size_t tail = std::min<size_t>(c.state.tail, KTSTR_TAIL_HITS);
  for (size_t i = 0; i < size_t{cpus_} * slots_ + tail; ++i)
    if (hits[i].ns != 0 && hits[i].target < plan_.targets.size()) c.hits.push_back(hits[i]);
  c.taken += tail;
  std::stable_sort(c.hits.begin(), c.hits.end(), [](const auto& a, const auto& b) { return a.ns < b.ns; });

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

  uint64_t runs = 0, ns = 0;
  auto count = [&](int fd) {
    bpf_prog_info info{};
    uint32_t length = sizeof(info);
    if (bpf_prog_get_info_by_fd(fd, &info, &length) != 0) return;
    runs += info.run_cnt;
    ns += info.run_time_ns;
    c.missed += info.recursion_misses;
  };
  for (const char* name : {"on_kernel_multi", "on_kernel_single"})
    count(bpf_program__fd(bpf_object__find_program_by_name(object_, name)));
  for (int fd : clones_) count(fd);
  c.cost_ns = runs ? ns / runs : 0;
  return c;
}

}  // namespace ktstr::probe
