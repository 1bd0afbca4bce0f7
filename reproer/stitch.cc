#include "reproer/stitch.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "base/text.h"
#include "reproer/chain.h"
#include "reproer/decode.h"
#include "reproer/value_plan.h"
#include "schemas/repro_generated.h"
#include "scx/bpf_place.h"
#include "scx/crash_frames.h"
#include "scx/named_callback.h"
#include "scx/stall.h"

namespace ktstr {
namespace {

// A function of the journey was entered shortly before the one it called; more is another journey.
constexpr uint64_t kSameJourneyNs = 2'000'000'000;

// Every CPU has an idle task of its own, and all of them have pid 0.
template <typename A, typename B>
bool same_task(const A& a, const B& b) {
  return a.pid == b.pid && (a.pid != 0 || a.cpu == b.cpu);
}

const ProbeValueT* value_of(const ProbeHitT& hit, size_t index) {
  for (const auto& v : hit.values)
    if (v->index == index) return v.get();
  return nullptr;
}

// The pid in the hit's "X->pid" of the task it is about; 0: not known.
int subject_pid(const ProbeTargetT& t, const ProbeHitT& hit) {
  for (size_t i = 0; i < t.values.size(); ++i) {
    const ValueSpecT& s = *t.values[i];
    if (s.arg != t.subject_arg || !s.name.ends_with("->pid")) continue;
    const ProbeValueT* v = value_of(hit, i);
    int32_t pid = 0;
    if (!v || v->failed || v->data.size() < sizeof(pid)) return 0;
    std::memcpy(&pid, v->data.data(), sizeof(pid));
    return pid;
  }
  return 0;
}

std::string text_of(const ProbeHitT& hit, size_t index, const ValueSpecT& spec) {
  const ProbeValueT* v = value_of(hit, index);
  if (!v) return {};
  if (v->failed && spec.name.ends_with("dsq.id")) return "none";
  if (v->failed && spec.offsets.empty() &&
      spec.arg < hit.raw_args.size()) {  // text of user space, most likely
    char address[40];
    std::snprintf(address, sizeof(address), "0x%llx (not readable)",
                  static_cast<unsigned long long>(hit.raw_args[spec.arg]));
    return address;
  }
  if (v->failed) return "not readable";
  return decode_value(spec, v->data);
}

class Stitcher {
 public:
  explicit Stitcher(const StitchInputs& in) : in_(in), targets_(in.plan->targets.size()) {
    for (const ProbeHitT& h : *in.hits)
      if (h.target < targets_.size())
        (h.when == HitWhen::Entry ? targets_[h.target].entries : targets_[h.target].exits).push_back(&h);
    for (auto& t : targets_) {
      std::sort(t.entries.begin(), t.entries.end(), [](auto* a, auto* b) { return a->ns < b->ns; });
      std::sort(t.exits.begin(), t.exits.end(), [](auto* a, auto* b) { return a->ns < b->ns; });
    }
    find_path();
  }

  Stitched run() {
    Stitched out;
    out.calls = calls();
    if (in_.plan->history > 1)
      for (const auto& call : out.calls) add_history(*call, &out.earlier);
    return out;
  }

 private:
  struct Hits {
    std::vector<const ProbeHitT*> entries, exits;
    const ProbeHitT* shown = nullptr;
    bool in_journey = false;  // `shown` is of the call that the crash interrupted, or may be
  };

  std::vector<std::unique_ptr<DecodedCallT>> calls() {
    std::vector<std::unique_ptr<DecodedCallT>> on_path,
        off_path;  // innermost first: a hit bounds those of its callers
    for (const ProbeTargetT* t : in_order()) {
      if (t->want_caller) continue;
      auto call = std::make_unique<DecodedCallT>();
      call->function = t->function;
      call->kind = t->kind;
      call->signature = t->signature;
      call->source = t->source;
      call->source_text = t->source_text;
      const bool alternate = t->chain_index == UINT32_MAX;
      const bool known_off = !path_.empty() && !place_of(*t) && !in_.plan->keep_by_task;
      const ProbeHitT* hit = choose(*t, call.get());
      if (alternate && (known_off || !hit || path_.empty()))
        continue;  // only there in case the crash came this way
      targets_[t->id].shown = hit;
      if (hit)
        fill(*t, *hit, known_off, call.get());
      else
        why_not(*t, call.get());
      (known_off ? off_path : on_path).push_back(std::move(call));
    }
    if (!in_.plan->keep_by_task)
      for (size_t i = 0; i < on_path.size(); ++i)
        on_path[i]->caller = !path_.empty()           ? caller_on_path(on_path[i]->function)
                             : i + 1 < on_path.size() ? on_path[i + 1]->function
                                                      : "";
    std::reverse(on_path.begin(), on_path.end());
    if (in_.plan->keep_by_task)  // no nesting to go by: by time, what was not hit last
      std::stable_sort(on_path.begin(), on_path.end(), [](const auto& a, const auto& b) {
        return a->hit != b->hit ? a->hit : a->ns_before > b->ns_before;
      });
    std::reverse(off_path.begin(), off_path.end());
    for (auto& call : kfunc_calls()) on_path.insert(on_path.begin(), std::move(call));
    drop_repeats(&on_path);
    for (auto& c : on_path) off_path.push_back(std::move(c));
    return off_path;
  }

  // Calls by which the scheduler made what the kernel objected to: of a callback that returned an error those that failed
  // with it, else the last one about the task that the message names, or by the task and CPU that were stopped.
  std::vector<std::unique_ptr<DecodedCallT>> kfunc_calls() {
    std::vector<std::unique_ptr<DecodedCallT>> calls;
    if (!in_.trigger || !in_.crash) return calls;
    const auto named = named_callback(in_.crash->message);
    const int about = named && named->error ? 0 : named_task(in_.crash->message);
    const ProbeTargetT* last_target = nullptr;
    const ProbeHitT* last = nullptr;
    for (const auto& t : in_.plan->targets) {
      if (!t->want_caller) continue;
      const ProbeHitT* newest = nullptr;
      for (const ProbeHitT* h : targets_[t->id].entries) {
        if (h->ns > in_.trigger->ns) continue;
        if (about ? subject_pid(*t, *h) == about : same_task(*h, *in_.trigger)) newest = h;
      }
      if (!newest) continue;
      if (named && named->error) {
        if (const ProbeHitT* exit = exit_of(*t, *newest);
            exit && static_cast<int32_t>(exit->retval) == -named->error)
          calls.push_back(kfunc_call(*t, *newest));
      } else if (!last || newest->ns > last->ns) {
        last = newest;
        last_target = t.get();
      }
    }
    if (last) calls.push_back(kfunc_call(*last_target, *last));
    return calls;
  }

  std::unique_ptr<DecodedCallT> kfunc_call(const ProbeTargetT& t, const ProbeHitT& hit) const {
    auto call = std::make_unique<DecodedCallT>();
    call->function = t.function;
    call->kind = t.kind;
    call->signature = t.signature;
    call->reason = CallReason::LastCall;
    fill(t, hit, false, call.get());
    if (hit.caller && in_.programs) {
      ChainFrameT from = frame_at(*in_.programs, hit.caller);
      call->caller = from.function;
      if (!from.function.empty()) call->from = std::make_unique<ChainFrameT>(std::move(from));
    }
    return call;
  }

  // The repro VM's backtrace: as the kernel printed it, else the trigger's stack.
  void find_path() {
    if (in_.plan->keep_by_task) return;
    if (in_.crash)
      for (const auto& f : in_.crash->backtrace) path_.push_back(probed_name(*f));
    if (!path_.empty() || !in_.trigger) return;
    for (const std::string& frame : in_.trigger->stack) {
      std::string name = frame.substr(0, frame.find('+'));
      if (name.starts_with("bpf_prog_") && name.size() > 26) name = name.substr(26);  // bpf_prog_TAG_
      path_.push_back(name);
    }
  }

  // 1-based from the innermost; 0: not on the path.
  size_t place_of(const ProbeTargetT& t) const {
    auto it = std::find(path_.begin(), path_.end(), t.function);
    return it == path_.end() ? 0 : static_cast<size_t>(it - path_.begin()) + 1;
  }

  // The function that called it in the repro VM, probed or not; empty: it is the outermost.
  std::string caller_on_path(const std::string& function) const {
    auto at = std::find(path_.begin(), path_.end(), function);
    for (; at != path_.end(); ++at) {
      if (is_interrupt(*at)) return "an interrupt";
      if (*at != function && frame_noise(*at).empty()) return *at;
    }
    return "";
  }

  std::vector<const ProbeTargetT*> in_order() const {
    std::vector<const ProbeTargetT*> order;
    for (const auto& t : in_.plan->targets) order.push_back(t.get());
    std::stable_sort(order.begin(), order.end(),
                     [](auto* a, auto* b) { return a->chain_index < b->chain_index; });
    std::stable_sort(order.begin(), order.end(), [&](auto* a, auto* b) {
      const size_t x = place_of(*a), y = place_of(*b);
      return x && y ? x < y : x && !y;
    });
    return order;
  }

  // A struct that the caller showed already is not shown again where it stayed the same; who it is stays.
  static void drop_repeats(std::vector<std::unique_ptr<DecodedCallT>>* calls) {
    struct Seen {
      std::string function;
      std::map<std::string, std::string> fields;  // ".pid" -> text, newest
    };
    std::map<std::string, Seen> seen;  // by pointer and type
    for (auto& call : *calls) {
      std::map<std::string, Seen> here;
      for (size_t i = 0; i < call->values.size(); ++i) {
        const std::string name = call->values[i]->name;
        if (name.find("->") != std::string::npos || !call->values[i]->entry.starts_with("0x")) continue;
        const std::string key = call->values[i]->entry + call->values[i]->type_name;
        auto before = seen.find(key);
        Seen now = before == seen.end() ? Seen{} : before->second;
        const std::string since = now.function;
        now.function = call->function;
        uint32_t dropped = 0;
        for (size_t k = i + 1; k < call->values.size() && call->values[k]->name.starts_with(name + "->");) {
          DecodedValueT& v = *call->values[k];
          const std::string field = v.name.substr(name.size());
          auto old = now.fields.find(field);
          const bool same =
              !since.empty() && old != now.fields.end() && old->second == v.entry && v.exit.empty();
          now.fields[field] = v.entry;
          if (same && field != "->pid" && field != "->comm") {
            call->values.erase(call->values.begin() + static_cast<std::ptrdiff_t>(k));
            ++dropped;
          } else {
            ++k;
          }
        }
        if (dropped) {
          call->values[i]->same_fields = dropped;
          call->values[i]->same_as = since;
        }
        here[key] = std::move(now);
      }
      for (auto& [key, now] : here) seen[key] = std::move(now);
    }
  }

  uint64_t now() const { return in_.trigger ? in_.trigger->ns : in_.end_ns; }

  const ProbeHitT* choose(const ProbeTargetT& t, DecodedCallT* call) {
    const auto& entries = targets_[t.id].entries;
    if (entries.empty()) return nullptr;
    if (in_.plan->keep_by_task) return choose_for_subject(t, entries, call);
    if (!in_.trigger) {
      call->reason = CallReason::NoTrigger;
      return entries.back();
    }
    const uint64_t bound = bound_ ? bound_ : in_.trigger->ns;
    const bool on_path = path_.empty() || place_of(t) != 0;
    for (auto it = entries.rbegin(); it != entries.rend(); ++it) {
      const ProbeHitT* h = *it;
      if (!same_task(*h, *in_.trigger) || h->ns > bound) continue;
      const bool recent = in_.trigger->ns - h->ns < kSameJourneyNs;
      if (on_path && recent) {
        bound_ = h->ns;
        targets_[t.id].in_journey = true;
        return h;
      }
      call->reason = on_path ? CallReason::EarlierJourney : CallReason::OffPathSameTask;
      return h;
    }
    call->reason = on_path ? CallReason::NotKept : CallReason::OffPathAnyTask;
    for (auto it = entries.rbegin(); it != entries.rend(); ++it)
      if ((*it)->ns <= in_.trigger->ns) return *it;
    return nullptr;
  }

  // Stalls: what happened to the task that waits, however long ago.
  const ProbeHitT* choose_for_subject(const ProbeTargetT& t, const std::vector<const ProbeHitT*>& entries,
                                      DecodedCallT* call) {
    const int stuck = in_.crash && is_stall(*in_.crash) ? in_.crash->stall_task_pid : 0;
    if (stuck && t.subject_arg != 255)
      for (auto it = entries.rbegin(); it != entries.rend(); ++it)
        if (subject_pid(t, **it) == stuck) {
          call->reason = CallReason::StuckTask;
          return *it;
        }
    const uint64_t limit = in_.trigger ? in_.trigger->ns : UINT64_MAX;
    for (auto it = entries.rbegin(); it != entries.rend(); ++it)
      if ((*it)->ns <= limit) {
        call->reason = stuck && t.subject_arg != 255 ? CallReason::NeverForStuckTask : CallReason::LastCall;
        return *it;
      }
    return nullptr;
  }

  void add_history(const DecodedCallT& call, std::vector<std::unique_ptr<DecodedCallT>>* out) const {
    const auto& plan = in_.plan->targets;
    auto t = std::find_if(plan.begin(), plan.end(), [&](const auto& x) {
      return x->function == call.function && x->kind == call.kind && x->signature == call.signature;
    });
    if (t == plan.end()) return;
    const Hits& hits = targets_[(*t)->id];
    uint32_t n = 0;
    for (auto it = hits.entries.rbegin(); it != hits.entries.rend() && n + 1 < in_.plan->history; ++it) {
      const ProbeHitT& h = **it;
      if (&h == hits.shown || (in_.trigger && (h.cpu != in_.trigger->cpu || h.ns > in_.trigger->ns)))
        continue;
      auto earlier = std::make_unique<DecodedCallT>();
      earlier->function = call.function;
      earlier->kind = call.kind;
      earlier->history = ++n;
      fill(**t, h, true, earlier.get());
      out->push_back(std::move(earlier));
    }
  }

  void why_not(const ProbeTargetT& t, DecodedCallT* call) const {
    call->reason = CallReason::ProbesNotPlaced;
    if (!in_.attached) return;
    const auto& placed = in_.attached->attached;
    const bool attached = std::find(placed.begin(), placed.end(), t.id) != placed.end();
    call->reason = attached ? CallReason::NeverCalled : CallReason::NotAttached;
    for (const auto& f : in_.attached->failed)
      if (f->function == t.function) {
        call->reason = CallReason::AttachFailed;
        call->reason_detail = f->reason;
        return;
      }
  }

  const ProbeHitT* exit_of(const ProbeTargetT& t, const ProbeHitT& entry) const {
    // The next exit of that function by that task, unless it was entered again first (recursion).
    const auto& all = targets_[t.id];
    // Else the returns after the trigger are all there is, and the entries of those calls need not be.
    const bool all_returns = in_.plan->history > 1 || in_.plan->keep_by_task;
    if (!all_returns && !all.in_journey) return nullptr;
    for (const ProbeHitT* e : all.exits) {
      if (e->ns < entry.ns || !same_task(*e, entry) || e->raw_args != entry.raw_args) continue;
      const bool again = std::any_of(all.entries.begin(), all.entries.end(), [&](const ProbeHitT* o) {
        return same_task(*o, entry) && o->ns > entry.ns && o->ns < e->ns;
      });
      return again ? nullptr : e;
    }
    return nullptr;
  }

  // `brief`: who and with what, but of the fields behind it only those that changed.
  void fill(const ProbeTargetT& t, const ProbeHitT& hit, bool brief, DecodedCallT* call) const {
    const ProbeHitT* exit = exit_of(t, hit);
    call->hit = true;
    call->cpu = hit.cpu;
    call->pid = hit.pid;
    call->comm = printable(hit.comm);
    call->ns_before = now() > hit.ns ? now() - hit.ns : 0;
    call->is_static = t.is_static;
    call->shifted = t.is_static && shifted(t, hit);
    for (size_t i = 0; i < t.values.size(); ++i) {
      const ValueSpecT& spec = *t.values[i];
      const bool argument = spec.offsets.empty();
      if (spec.arg == kReturnArg) {
        if (exit) call->retval = text_of(*exit, i, spec);
        continue;
      }
      auto v = std::make_unique<DecodedValueT>();
      v->name = spec.name;
      v->type_name = spec.type_name;
      v->entry = text_of(hit, i, spec);
      // An argument itself cannot change for the caller, only what it points to.
      if (exit && !argument) v->exit = text_of(*exit, i, spec);
      if (v->exit == v->entry) v->exit.clear();
      const bool who = spec.name.ends_with("->pid") || spec.name.ends_with("->comm");
      if (brief && !argument && !who && v->exit.empty()) continue;
      const ProbeValueT* read = value_of(hit, i);
      if (read && read->failed && !argument && is_null(hit, spec)) continue;  // fields behind a NULL argument
      call->values.push_back(std::move(v));
    }
  }

  // BTF keeps the parameters as written, the registers do not.
  static bool shifted(const ProbeTargetT& t, const ProbeHitT& hit) {
    for (const auto& v : t.values) {
      const bool pointer =
          v->format == ValueFormat::Pointer && v->offsets.empty() && v->arg < hit.raw_args.size();
      if (pointer && hit.raw_args[v->arg] != 0 && hit.raw_args[v->arg] >> 47 != 0x1ffff &&
          hit.raw_args[v->arg] >> 56 != 0xff)
        return true;
    }
    return false;
  }

  static bool is_null(const ProbeHitT& hit, const ValueSpecT& spec) {
    return !spec.offsets.empty() && spec.arg < hit.raw_args.size() && hit.raw_args[spec.arg] == 0;
  }

  const StitchInputs& in_;
  std::vector<Hits> targets_;
  std::vector<std::string> path_;  // the repro VM's backtrace, innermost first; empty: none known
  uint64_t bound_ = 0;             // entry of the function further in
};

}  // namespace

Stitched stitch(const StitchInputs& inputs) {
  if (!inputs.plan || !inputs.hits) return {};
  return Stitcher(inputs).run();
}

}  // namespace ktstr
