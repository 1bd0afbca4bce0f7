#include "guest/probe/probe_set.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "bpf/direct_reads.h"
#include "guest/probe/bpf_options.h"
#include "guest/probe/probe_clone.h"
#include "schemas/repro_generated.h"

namespace ktstr::probe {
namespace {

constexpr char kTracefs[] = "/sys/kernel/tracing";

// Init turns them on for the monitor, which does not look at this VM. They read the clock twice for each hit, which
// doubles the cost of a small probe under emulation; the probes time some hits themselves.
void stop_run_time_statistics() {
  const UniqueFd file(::open("/proc/sys/kernel/bpf_stats_enabled", O_WRONLY | O_CLOEXEC));
  (void)!::write(file.get(), "0", 1);  // not done: the probes only cost more
}

}  // namespace

void ProbeSet::fail(uint32_t target, std::string reason) {
  if (target < failed_.size() && failed_[target].empty()) failed_[target] = std::move(reason);
}

Result<std::unique_ptr<ProbeSet>> ProbeSet::load(const ProbePlanT& plan) {
  if (plan.targets.size() > KTSTR_MAX_TARGETS)
    return Error::exhausted("probe plan: more than " + std::to_string(KTSTR_MAX_TARGETS) + " targets");
  std::unique_ptr<ProbeSet> set(new ProbeSet(plan));
  set->attached_.resize(plan.targets.size());
  set->failed_.resize(plan.targets.size());
  set->read_plans_ = plan_all_reads(plan);
  set->direct_ = plan.cast_function != 0;
  ProbeObject::Parts& parts = set->parts_;
  parts.event_trigger =
      ::access((std::string(kTracefs) + "/events/sched_ext/sched_ext_exit").c_str(), F_OK) == 0;
  Status status = set->object_.load(parts);
  if (!status && parts.event_trigger) {
    parts.event_trigger = false;
    status = set->object_.load(parts);
  }
  if (!status) return status.error();
  return set;
}

std::string traceable_list() { return std::string(kTracefs) + "/available_filter_functions"; }

void ProbeSet::attach_kernel(TraceableNames& names) {
  stop_run_time_statistics();
  std::set<std::string> wanted;
  for (const auto& t : plan_.targets)
    if (t->kind == ProbeKind::Kprobe) wanted.insert(t->function);
  for (const auto& name : plan_.trigger_ladder) wanted.insert(name.substr(0, name.find('#')));
  const Status listed = names.load(traceable_list());
  const Traceable traceable = names.among(wanted);

  std::vector<const char*> symbols;
  std::vector<uint64_t> cookies;
  for (uint32_t i = 0; i < plan_.targets.size(); ++i) {
    const ProbeTargetT& t = *plan_.targets[i];
    if (t.kind != ProbeKind::Kprobe) continue;
    if (!listed) {
      fail(i, listed.error().message());
    } else if (!traceable.available.contains(t.function)) {
      // A function on a backtrace was not inlined.
      const bool seen = !plan_.keep_by_task && t.chain_index != UINT32_MAX;
      fail(i, seen ? "the kernel forbids tracing it (not in available_filter_functions)"
                   : "not in available_filter_functions: inlined, or the kernel forbids tracing it");
    } else if (traceable.ambiguous.contains(t.function)) {
      fail(i, "several kernel functions have that name");
    } else {
      symbols.push_back(t.function.c_str());
      cookies.push_back(i);
    }
  }
  if (!symbols.empty()) attach_functions(symbols, cookies);
  attach_trigger();
  attach_fault_triggers();
}

bool ProbeSet::attach_multi(const char* program, const std::vector<const char*>& symbols,
                            const std::vector<uint64_t>& cookies, bool returns) {
  auto how = bpf_options<bpf_link_create_opts>();
  const std::vector<__u64> places(cookies.begin(), cookies.end());
  how.kprobe_multi.syms = const_cast<const char**>(symbols.data());
  how.kprobe_multi.cookies = places.data();
  how.kprobe_multi.cnt = static_cast<uint32_t>(symbols.size());
  how.kprobe_multi.flags = returns ? BPF_F_KPROBE_MULTI_RETURN : 0;
  // Never closed: the VM ends with the probes in place.
  return bpf_link_create(multi_program(program, cookies), 0, BPF_TRACE_KPROBE_MULTI, &how) >= 0;
}

std::vector<bpf_insn> ProbeSet::reads_of(std::vector<uint32_t> targets) const {
  DirectReads in;
  if (!direct_) return {};
  std::sort(targets.begin(), targets.end());
  in.cast_function = plan_.cast_function;
  in.comm_offset = plan_.comm_offset;
  in.pid_offset = plan_.pid_offset;
  in.targets = targets;
  in.plans = read_plans_;
  return direct_reads(in);
}

int ProbeSet::multi_program(const char* name, const std::vector<uint64_t>& cookies) {
  bpf_program* model = object_.program(name);
  CloneOptions options;
  options.model = model;
  options.model_types = object_.types();
  options.reads = reads_of({cookies.begin(), cookies.end()});
  if (options.reads.empty()) return bpf_program__fd(model);
  auto clone = load_multi_clone(options);
  direct_ = clone.ok();
  if (!clone) return bpf_program__fd(model);
  clones_.push_back(*clone);
  return *clone;
}

void ProbeSet::attach_functions(const std::vector<const char*>& symbols,
                                const std::vector<uint64_t>& cookies) {
  std::vector<const char*> returning;
  std::vector<uint64_t> places;
  for (size_t k = 0; k < symbols.size(); ++k) {
    if (!plan_.targets[cookies[k]]->want_return) continue;
    returning.push_back(symbols[k]);
    places.push_back(cookies[k]);
  }
  if (attach_multi("on_kernel_multi", symbols, cookies, false)) {
    for (uint64_t i : cookies) attached_[i] = 1;
    // Refused: the functions are shown by their entries alone.
    if (!returning.empty()) attach_multi("on_return_multi", returning, places, true);
    return;
  }
  parts_.singles = true;
  if (auto loaded = object_.load(parts_); !loaded) {
    for (uint64_t i : cookies) fail(static_cast<uint32_t>(i), loaded.error().message());
    return;
  }
  for (uint64_t i : cookies) attach_single(*plan_.targets[i]);
}

void ProbeSet::attach_single(const ProbeTargetT& target) {
  auto how = bpf_options<bpf_kprobe_opts>();
  how.bpf_cookie = target.id;
  bpf_link* link =
      bpf_program__attach_kprobe_opts(object_.program("on_kernel_single"), target.function.c_str(), &how);
  if (!link) return fail(target.id, std::string("kprobe rejected: ") + std::strerror(errno));
  links_.push_back(link);
  attached_[target.id] = 1;
  if (!target.want_return) return;
  how.retprobe = true;
  link = bpf_program__attach_kprobe_opts(object_.program("on_return_single"), target.function.c_str(), &how);
  if (link) links_.push_back(link);
}

void ProbeSet::attach_trigger() {
  if (parts_.event_trigger) {
    if (bpf_link* link = bpf_program__attach(object_.program("on_exit_event"))) {
      links_.push_back(link);
      trigger_ = "tp_btf/sched_ext_exit";
    }
    return;
  }
  for (const std::string& step : plan_.trigger_ladder) {
    if (step.ends_with(kFaultMark) || step == kAnyExit) continue;
    const size_t mark = step.find('#');
    const std::string function = step.substr(0, mark);
    auto how = bpf_options<bpf_kprobe_opts>();
    how.bpf_cookie = mark != std::string::npos && step.substr(mark) == "#0" ? 0 : 1;
    bpf_link* link =
        bpf_program__attach_kprobe_opts(object_.program("on_exit_function"), function.c_str(), &how);
    if (!link) continue;
    links_.push_back(link);
    trigger_ = "kprobe " + function;
    return;
  }
}

// For a crash of the kernel itself. An oops may lead to a panic: the first of them freezes the rings.
void ProbeSet::attach_fault_triggers() {
  for (const std::string& step : plan_.trigger_ladder) {
    if (!step.ends_with(kFaultMark)) continue;
    const std::string function = step.substr(0, step.find('#'));
    auto how = bpf_options<bpf_kprobe_opts>();
    bpf_link* link = bpf_program__attach_kprobe_opts(object_.program("on_fault"), function.c_str(), &how);
    if (!link) continue;
    links_.push_back(link);
    trigger_ += (trigger_.empty() ? "kprobe " : ", kprobe ") + function;
  }
}

void ProbeSet::attach_program(int prog_fd, const ProgramFacts& facts) {
  for (uint32_t i = 0; i < plan_.targets.size(); ++i) {
    const ProbeTargetT& t = *plan_.targets[i];
    if (t.kind != ProbeKind::Callback && t.kind != ProbeKind::Subprog) continue;
    if (attached_[i] || (!t.program.empty() && t.program != facts.program.name)) continue;
    auto f = std::find_if(facts.program.functions.begin(), facts.program.functions.end(),
                          [&](const auto& x) { return x->name == t.function; });
    if (f == facts.program.functions.end()) continue;
    for (const bool exit : {false, true}) {
      if (exit && !t.want_return) continue;
      CloneOptions options;
      options.model = object_.program(exit ? "on_fexit" : "on_fentry");
      options.model_types = object_.types();
      options.exit = exit;
      options.program = prog_fd;
      options.function = (*f)->btf_type_id;
      options.cookie = i;
      options.reads = reads_of({i});
      auto clone = attach_clone(options);
      if (!clone && !options.reads.empty()) {
        options.reads.clear();
        clone = attach_clone(options);
        direct_ = direct_ && !clone.ok();
      }
      if (!clone) {
        fail(i, clone.error().message());
        break;
      }
      attached_[i] = 1;
      clones_.push_back(*clone);
    }
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
  if (trigger_.empty()) {
    auto d = std::make_unique<DroppedFrameT>();
    d->function = "(trigger)";
    d->reason = "neither the tracepoint nor any of the kernel's exit functions could be probed";
    r.failed.push_back(std::move(d));
  }
  return r;
}

}  // namespace ktstr::probe
