#include "bpf/hits.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "schemas/repro_generated.h"

namespace ktstr::probe {

// Every CPU has an idle task of its own, and all of them have pid 0.
static bool by_crashing_task(const ktstr_hit& h, const ktstr_state& s) {
  return s.complete && h.pid == s.pid && (h.pid != 0 || h.cpu == s.cpu);
}

std::vector<size_t> select_hits(const Capture& capture, size_t targets, const Selection& selection) {
  std::vector<size_t> out;
  std::vector<size_t> seen(targets * 2), seen_there(targets * 2);
  size_t of_task = 0;
  for (size_t i = capture.hits.size(); i-- > 0;) {
    const ktstr_hit& h = capture.hits[i];
    const size_t key = h.target * 2 + (h.when == KTSTR_EXIT);
    if (key >= seen.size()) continue;
    const bool of_crash = by_crashing_task(h, capture.state) && of_task++ < selection.of_task;
    const bool there = !capture.state.complete || h.cpu == capture.state.cpu;
    const bool of_history = there && seen_there[key]++ < selection.history;
    if (seen[key]++ < selection.per_target || of_crash || of_history) out.push_back(i);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string> stack_text(const ktstr_state& state) {
  std::vector<std::string> out;
  const size_t n =
      state.stack_bytes > 0 ? static_cast<size_t>(state.stack_bytes) / sizeof(state.stack[0]) : 0;
  for (size_t i = 0; i < std::min<size_t>(n, KTSTR_STACK_FRAMES); ++i) {
    std::string text(state.symbols[i], ::strnlen(state.symbols[i], KTSTR_SYMBOL));
    if (const size_t module = text.find(' '); module != std::string::npos)
      text.resize(module);  // "NAME+0x1/0x2 [bpf]"
    if (text.empty()) {
      char hex[24];
      std::snprintf(hex, sizeof(hex), "0x%llx", static_cast<unsigned long long>(state.stack[i]));
      text = hex;
    }
    out.push_back(std::move(text));
  }
  return out;
}

ProbeHitT to_event(const ktstr_hit& hit, const ProbeTargetT& target, const ReadPlan& plan, uint64_t ordinal) {
  ProbeHitT e;
  e.target = target.id;
  e.when = hit.when == KTSTR_EXIT ? HitWhen::Exit : HitWhen::Entry;
  e.ns = hit.ns;
  e.cpu = static_cast<uint16_t>(hit.cpu);
  e.pid = hit.pid;
  e.comm.assign(hit.comm, ::strnlen(hit.comm, sizeof(hit.comm)));
  e.ordinal = ordinal;
  e.raw_args.assign(hit.raw, hit.raw + std::min<size_t>(target.nargs, KTSTR_MAX_ARGS));
  e.caller = hit.caller;
  e.retval = hit.when == KTSTR_EXIT ? hit.raw[KTSTR_RETURN] : 0;
  for (size_t i = 0; i < plan.places.size(); ++i) {
    const ReadPlan::Place& place = plan.places[i];
    auto v = std::make_unique<ProbeValueT>();
    v->index = static_cast<uint16_t>(i);
    if (place.read < 0) {
      v->data.resize(8);
      std::memcpy(v->data.data(), &hit.raw[place.at], 8);
    } else {
      v->failed = hit.failed >> place.read & 1;
      v->data.assign(hit.data + place.at, hit.data + place.at + place.bytes);
    }
    e.values.push_back(std::move(v));
  }
  return e;
}

ProbeTriggeredT to_event(const ktstr_state& state) {
  ProbeTriggeredT t;
  t.ns = state.ns;
  t.cpu = static_cast<uint16_t>(state.cpu);
  t.pid = state.pid;
  t.comm.assign(state.comm, ::strnlen(state.comm, sizeof(state.comm)));
  t.kind = state.kind;
  t.stack = stack_text(state);
  return t;
}

}  // namespace ktstr::probe
